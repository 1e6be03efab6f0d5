//! ARNs of what a pipeline names: a secret, a function; and the parts that all have.

/// The partitions that Sluice knows (AWS General Reference, "Amazon Resource Names").
const PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

pub(super) const SECRET: &str = "the ARN of a Secrets Manager secret, such as \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:mc-api-AbCdEf\"";
pub(super) const FUNCTION: &str =
    "the ARN of a Lambda function, such as \"arn:aws:lambda:eu-west-1:123456789012:function:smoke-test\"";

/// 12 digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `eu-west-1`, `us-gov-east-1`: two to three parts of letters and a number.
pub(super) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &str| (2..=12).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_lowercase());
    match parts.as_slice() {
        [first @ .., last] => {
            (2..=3).contains(&first.len())
                && first.iter().all(|part| letters(part))
                && (1..=2).contains(&last.len())
                && last.bytes().all(|b| b.is_ascii_digit())
        }
        [] => false,
    }
}

/// What comes after `arn:<partition>:<service>:<region>:<account>:`.
fn resource<'t>(text: &'t str, service: &str) -> Option<&'t str> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, found, region, account, resource] = parts.as_slice() else {
        return None;
    };
    let known = PARTITIONS.contains(partition) && *found == service;
    (known && is_region(region) && is_account(account)).then_some(*resource)
}

/// A secret's ARN (AWS Secrets Manager API reference, CreateSecret, `Name`: letters, digits, `/_+=.@-`, at most 512;
/// the service adds a hyphen and six characters. Secrets that services manage have a `!`).
pub(super) fn secret(text: &str) -> Result<String, &'static str> {
    let resource = resource(text, "secretsmanager").ok_or("is no ARN of a secret")?;
    let name = resource.strip_prefix("secret:").ok_or("is no ARN of a secret")?;
    if name.contains(':') {
        return Err("names a part of a secret, and a value takes the whole text");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-!".contains(&b);
    if (1..=519).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("names no secret")
    }
}

/// A function's ARN, with or without a version or alias, and the function's name (AWS Lambda API reference, Invoke,
/// `FunctionName`).
pub(super) fn function(text: &str) -> Result<(String, String), &'static str> {
    let resource = resource(text, "lambda").ok_or("is no ARN of a function")?;
    let rest = resource
        .strip_prefix("function:")
        .ok_or("is no ARN of a function")?;
    let (name, qualifier) = match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let plain = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(allowed);
    let qualified = qualifier.is_none_or(|part| part == "$LATEST" || plain(part, 128));
    if plain(name, 64) && qualified {
        Ok((text.to_owned(), name.to_owned()))
    } else {
        Err("names no function")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_whole() {
        let table = [
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mc/api-AbCdEf",
                true,
            ),
            (
                "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:rds!x-AbCdEf",
                true,
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x:password::",
                false,
            ),
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:*", false),
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:", false),
            ("arn:aws:secretsmanager:eu-west-1:12345:secret:x", false),
            ("arn:aws:secretsmanager::123456789012:secret:x", false),
            ("arn:aws:ssm:eu-west-1:123456789012:parameter/x", false),
            ("arn:azure:secretsmanager:eu-west-1:123456789012:secret:x", false),
            ("mc-api", false),
        ];
        for (text, right) in table {
            assert_eq!(secret(text).is_ok(), right, "{text}");
        }
    }

    #[test]
    fn a_function_may_have_an_alias() {
        let arn = |rest: &str| format!("arn:aws:lambda:eu-west-1:123456789012:{rest}");
        let table = [
            ("function:smoke", Some("smoke")),
            ("function:smoke:live", Some("smoke")),
            ("function:smoke:$LATEST", Some("smoke")),
            ("function:smoke:$OTHER", None),
            ("function:smoke:1:2", None),
            ("function:", None),
            ("layer:smoke:1", None),
        ];
        for (rest, name) in table {
            let text = arn(rest);
            let wanted = name.map(|name| (text.clone(), name.to_owned()));
            assert_eq!(function(&text).ok(), wanted, "{text}");
        }
    }
}

//! The address of `operate`: its Function URL, and the region that a request to it is signed for.

use crate::failure::{Exit, Failure};
use aws_config::Region;
use reqwest::Url;

/// How to learn the address, as the template's output names it.
const FIND_URL: &str = "export SLUICE_URL=$(aws cloudformation describe-stacks --stack-name sluice --query \
                        \"Stacks[0].Outputs[?OutputKey=='OperateUrl'].OutputValue\" --output text)";

/// Reads the address. HTTP without TLS only to this machine: a request carries who may act.
pub fn parse_url(text: Option<&str>) -> Result<Url, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        let message = "Where Sluice's `operate` function listens is not set: neither --url nor SLUICE_URL.";
        return Err(Failure::new(Exit::Usage, message).next(FIND_URL));
    };
    let wrong = |why: &str| {
        let message = format!("The address `{text}` (--url or SLUICE_URL) {why}.");
        Failure::new(Exit::Usage, message).next(FIND_URL)
    };
    let right = "is not a URL such as https://abcdefgh.lambda-url.eu-west-1.on.aws/";
    let url = Url::parse(text).map_err(|error| wrong(right).because(error))?;
    match url.scheme() {
        _ if url.host_str().is_none() => Err(wrong(right)),
        _ if !url.username().is_empty() || url.password().is_some() => Err(wrong(
            "has a user name or password in it; requests are signed with AWS credentials instead",
        )),
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(wrong(
            "is HTTP without TLS, which is only for 127.0.0.1 and localhost; use https://",
        )),
        _ => Err(wrong(right)),
    }
}

/// Whether the address is this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// The region to sign for: as asked, else the one that a Function URL names, else the one of the AWS configuration.
pub fn region(asked: Option<&str>, url: &Url, configured: Option<&Region>) -> Result<String, Failure> {
    let named = asked.map(str::to_owned).or_else(|| region_of(url));
    named.or_else(|| configured.map(ToString::to_string)).ok_or_else(|| {
        let message = "No AWS region is set, and the address does not name one: neither --region, AWS_REGION nor the \
                       profile's `region`.";
        Failure::new(Exit::Usage, message).next("export AWS_REGION=eu-west-1")
    })
}

/// `<id>.lambda-url.<region>.on.aws` (AWS Lambda, "Creating and managing Lambda function URLs").
fn region_of(url: &Url) -> Option<String> {
    let (_, rest) = url.host_str()?.split_once(".lambda-url.")?;
    rest.strip_suffix(".on.aws").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_tls_or_this_machine() {
        let good = [
            "https://abc.lambda-url.eu-west-1.on.aws/",
            "http://127.0.0.1:4566/_aws/lambda-url/abc/",
            "http://localhost:1/",
            "http://[::1]:1/",
        ];
        for text in good {
            assert!(parse_url(Some(text)).is_ok(), "{text}");
        }
        let bad = [
            "",
            "abc",
            "ftp://x/",
            "http://10.0.0.1/",
            "http://localhost.example.com/",
            "http://127.0.0.1.nip.io/",
            "https://me:word@abc.lambda-url.eu-west-1.on.aws/",
        ];
        for text in bad {
            let failure = parse_url(Some(text)).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{text}");
            assert!(failure.next.is_some(), "{text}");
        }
        assert!(parse_url(None).unwrap_err().message.contains("SLUICE_URL"));
    }

    #[test]
    fn the_region_is_asked_for_then_the_addresses_then_the_configured_one() {
        let aws = parse_url(Some("https://abc.lambda-url.eu-west-1.on.aws/")).unwrap();
        let local = parse_url(Some("http://127.0.0.1:4566/")).unwrap();
        let configured = Region::new("us-east-1");
        assert_eq!(region(Some("x"), &aws, Some(&configured)).unwrap(), "x");
        assert_eq!(region(None, &aws, Some(&configured)).unwrap(), "eu-west-1");
        assert_eq!(region(None, &local, Some(&configured)).unwrap(), "us-east-1");
        assert_eq!(region(None, &local, None).unwrap_err().exit, Exit::Usage);
    }
}

//! A function's settings: environment variables that the template sets, read once.

use crate::failure::Failure;

/// The table's name.
pub const TABLE: &str = "TABLE";
/// The ARN of the promotion state machine.
pub const PROMOTION_MACHINE: &str = "PROMOTION_MACHINE";
/// The ARN of the rollback state machine.
pub const ROLLBACK_MACHINE: &str = "ROLLBACK_MACHINE";
/// The name or ARN of the function `roll-back`.
pub const ROLL_BACK_FUNCTION: &str = "ROLL_BACK_FUNCTION";

/// The path of the helm program.
pub const HELM: &str = "HELM";
/// The ARN of the role as which helm reaches clusters of this account.
pub const HELM_ROLE: &str = "HELM_ROLE";
/// The name or ARN of the function `run-helm`.
pub const RUN_HELM_FUNCTION: &str = "RUN_HELM_FUNCTION";

/// The values of these settings, in this order; the error names every one that is missing.
///
/// ```no_run
/// # fn example() -> Result<(), sluice_lambda::Failure> {
/// use sluice_lambda::settings::{PROMOTION_MACHINE, TABLE, required};
/// let [table, promotion_machine] = required([TABLE, PROMOTION_MACHINE])?;
/// # Ok(()) }
/// ```
pub fn required<const N: usize>(names: [&'static str; N]) -> Result<[String; N], Failure> {
    read(names, |name| std::env::var(name).ok())
}

fn read<const N: usize>(
    names: [&'static str; N],
    value: impl Fn(&str) -> Option<String>,
) -> Result<[String; N], Failure> {
    let values = names.map(|name| value(name).filter(|text| !text.trim().is_empty()).ok_or(name));
    let missing: Vec<_> = values
        .iter()
        .filter_map(|value| value.as_ref().err().copied())
        .collect();
    if missing.is_empty() {
        return Ok(values.map(Result::unwrap_or_default));
    }
    Err(Failure::internal(format!(
        "the function's environment lacks {}; the template sets it",
        missing.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_missing_setting_is_named_at_once() {
        let read = |given: &'static [(&str, &str)]| {
            read([TABLE, PROMOTION_MACHINE, ROLLBACK_MACHINE], move |name| {
                given
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        let failure = read(&[("TABLE", " "), ("ROLLBACK_MACHINE", "r")]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the function's environment lacks TABLE, PROMOTION_MACHINE; the template sets it"
        );
        let given = read(&[
            ("TABLE", "t"),
            ("PROMOTION_MACHINE", "p"),
            ("ROLLBACK_MACHINE", "r"),
        ])
        .unwrap();
        assert_eq!(given, ["t", "p", "r"]);
    }
}

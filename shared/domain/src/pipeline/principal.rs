//! The IAM principal as which a person is known, and whether a caller is one.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A role (any session of it), one session of a role, or a user.
///
/// Written as an ARN, or as its resource alone, which means the account that Sluice runs in:
/// `arn:aws:iam::123456789012:role/sso-ana`, `arn:aws:iam::123456789012:user/ben`, `role/sso-dev:ana@example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal {
    /// Partition and account; none: Sluice's own.
    home: Option<(String, String)>,
    /// Between `role/` or `user/` and the name: empty, or ends with `/`.
    path: String,
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    User,
    /// With the name of the only session that is meant, if one is.
    Role(Option<String>),
}

/// Why a text names no principal that a person can be known by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// Not of one of the three forms.
    #[error("is neither a role nor a user of IAM")]
    Form,
    /// A partition that Sluice does not know.
    #[error("has the partition `{0}`, which is none of aws, aws-cn, aws-us-gov")]
    Partition(String),
    /// Not 12 digits.
    #[error("has the account `{0}`, which is not 12 digits")]
    Account(String),
    /// Characters or a length that IAM does not take.
    #[error("has the {what} `{found}`, which IAM would not take")]
    Name {
        /// "role name", "session name", "user name", "path".
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// What `aws sts get-caller-identity` prints for an assumed role.
    #[error("is a session's ARN; IAM's own name of it is `{0}`")]
    Session(String),
    /// Everyone with the account's root credentials.
    #[error("is the account itself, which is no person")]
    Root,
}

const PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

/// Whether every character is one that IAM takes in names of roles, users and sessions
/// (IAM and STS API references, `RoleName`, `UserName`, `RoleSessionName`: `[\w+=,.@-]`), and the length is right.
fn is_iam_name(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    lengths.contains(&text.len()) && text.bytes().all(allowed)
}

fn name_of(what: &'static str, text: &str, shortest: usize) -> Result<String, PrincipalError> {
    let refused = || PrincipalError::Name {
        what,
        found: text.chars().take(80).collect(),
    };
    is_iam_name(text, shortest..=64)
        .then(|| text.to_owned())
        .ok_or_else(refused)
}

impl Principal {
    /// Reads one of the forms above.
    pub fn parse(text: &str) -> Result<Self, PrincipalError> {
        let Some(arn) = text.strip_prefix("arn:") else {
            return Self::of_resource(text, None);
        };
        let parts: Vec<&str> = arn.splitn(5, ':').collect();
        let [partition, service, "", account, resource] = parts.as_slice() else {
            return Err(PrincipalError::Form);
        };
        if !PARTITIONS.contains(partition) {
            return Err(PrincipalError::Partition((*partition).to_owned()));
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PrincipalError::Account((*account).to_owned()));
        }
        match (*service, *resource) {
            ("iam", "root") => Err(PrincipalError::Root),
            ("iam", resource) => {
                Self::of_resource(resource, Some(((*partition).to_owned(), (*account).to_owned())))
            }
            ("sts", resource) => Err(session_hint(partition, account, resource)),
            _ => Err(PrincipalError::Form),
        }
    }

    fn of_resource(resource: &str, home: Option<(String, String)>) -> Result<Self, PrincipalError> {
        let (kind, rest) = resource.split_once('/').ok_or(PrincipalError::Form)?;
        let (path, last) = rest
            .rsplit_once('/')
            .map_or(("", rest), |(path, last)| (path, last));
        if !path.is_empty() && (path.len() > 510 || !path.bytes().all(|b| (0x21..0x7f).contains(&b))) {
            return Err(PrincipalError::Name {
                what: "path",
                found: path.chars().take(80).collect(),
            });
        }
        let (name, session) = last
            .split_once(':')
            .map_or((last, None), |(name, session)| (name, Some(session)));
        let path = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        match (kind, session) {
            ("user", None) => Ok(Self {
                home,
                path,
                name: name_of("user name", name, 1)?,
                kind: Kind::User,
            }),
            ("role", session) => {
                let session = session.map(|text| name_of("session name", text, 2)).transpose()?;
                Ok(Self {
                    home,
                    path,
                    name: name_of("role name", name, 1)?,
                    kind: Kind::Role(session),
                })
            }
            _ => Err(PrincipalError::Form),
        }
    }

    /// Partition and account, where this is the full ARN of one role, not of a session: what can be assumed.
    pub(super) fn role_home(&self) -> Option<(&str, &str)> {
        let (partition, account) = self.home.as_ref().filter(|_| self.kind == Kind::Role(None))?;
        Some((partition, account))
    }

    /// Whether the caller with this ARN, as IAM gives it to a Function URL, is this principal. Case counts.
    pub fn matches(&self, caller_arn: &str, own_account: &str) -> bool {
        let parts: Vec<&str> = caller_arn.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = parts.as_slice() else {
            return false;
        };
        let at_home = match &self.home {
            Some((home, number)) => home == partition && number == account,
            None => PARTITIONS.contains(partition) && *account == own_account,
        };
        at_home && self.matches_resource(service, resource)
    }

    /// An assumed role's ARN drops the role's path; a user's keeps it.
    /// (IAM user guide, "IAM identifiers": `assumed-role/role-name/role-session-name`.)
    fn matches_resource(&self, service: &str, resource: &str) -> bool {
        match (&self.kind, service) {
            (Kind::User, "iam") => {
                resource.strip_prefix("user/") == Some(&format!("{}{}", self.path, self.name))
            }
            (Kind::Role(session), "sts") => {
                let Some((role, name)) = resource
                    .strip_prefix("assumed-role/")
                    .and_then(|r| r.split_once('/'))
                else {
                    return false;
                };
                role == self.name && session.as_ref().is_none_or(|wanted| wanted == name)
            }
            _ => false,
        }
    }

    /// Whether one caller could be both. Roles of one name are one role: IAM's names are unique whatever the path.
    pub fn overlaps(&self, other: &Self) -> bool {
        let same_home = match (&self.home, &other.home) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        let same_kind = match (&self.kind, &other.kind) {
            (Kind::User, Kind::User) => self.path == other.path,
            (Kind::Role(Some(one)), Kind::Role(Some(two))) => one == two,
            (Kind::Role(_), Kind::Role(_)) => true,
            _ => false,
        };
        same_home && same_kind && self.name == other.name
    }
}

fn session_hint(partition: &str, account: &str, resource: &str) -> PrincipalError {
    match resource
        .strip_prefix("assumed-role/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((role, session)) => {
            PrincipalError::Session(format!("arn:{partition}:iam::{account}:role/{role}:{session}"))
        }
        None => PrincipalError::Form,
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((partition, account)) = &self.home {
            write!(f, "arn:{partition}:iam::{account}:")?;
        }
        match &self.kind {
            Kind::User => write!(f, "user/{}{}", self.path, self.name),
            Kind::Role(None) => write!(f, "role/{}{}", self.path, self.name),
            Kind::Role(Some(session)) => write!(f, "role/{}{}:{session}", self.path, self.name),
        }
    }
}

impl TryFrom<String> for Principal {
    type Error = PrincipalError;
    fn try_from(text: String) -> Result<Self, PrincipalError> {
        Self::parse(&text)
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> String {
        principal.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    const OWN: &str = "123456789012";

    #[test]
    fn a_caller_is_known_by_role_session_or_user() {
        let session = |role: &str, name: &str| format!("arn:aws:sts::{OWN}:assumed-role/{role}/{name}");
        let user = |name: &str| format!("arn:aws:iam::{OWN}:user/{name}");
        let role = format!("arn:aws:iam::{OWN}:role/sso-ana");
        let pathed = format!("arn:aws:iam::{OWN}:role/team/a/sso-ana");
        let one = format!("arn:aws:iam::{OWN}:role/sso-dev:ana@example.com");
        let china = format!("arn:aws-cn:iam::{OWN}:role/sso-ana");
        let ben = user("staff/ben");
        let table: Vec<(&str, String, bool)> = vec![
            (&role, session("sso-ana", "x1"), true),
            (&role, session("sso-ana", "anything@else"), true),
            (&role, session("sso-Ana", "x1"), false),
            (&role, session("sso-anan", "x1"), false),
            (&role, role.clone(), false),
            (
                &role,
                session("sso-ana", "x1").replace(OWN, "210987654321"),
                false,
            ),
            (
                &role,
                session("sso-ana", "x1").replace("arn:aws:", "arn:aws-cn:"),
                false,
            ),
            (
                &china,
                session("sso-ana", "x1").replace("arn:aws:", "arn:aws-cn:"),
                true,
            ),
            (&pathed, session("sso-ana", "x1"), true),
            (&one, session("sso-dev", "ana@example.com"), true),
            (&one, session("sso-dev", "ben@example.com"), false),
            (&one, session("sso-dev", "ana@example.com/x"), false),
            (
                "role/sso-dev:ana@example.com",
                session("sso-dev", "ana@example.com"),
                true,
            ),
            (
                "role/sso-dev:ana@example.com",
                session("sso-dev", "ana@example.com").replace(OWN, "210987654321"),
                false,
            ),
            (&ben, user("staff/ben"), true),
            (&ben, user("ben"), false),
            (&ben, session("ben", "ben"), false),
            (&ben, format!("arn:aws:sts::{OWN}:federated-user/ben"), false),
            (&role, format!("arn:aws:iam::{OWN}:root"), false),
            (&role, String::new(), false),
            (&role, "arn:aws:sts".to_owned(), false),
        ];
        for (principal, caller, wanted) in table {
            let parsed = Principal::parse(principal).unwrap();
            assert_eq!(parsed.matches(&caller, OWN), wanted, "{principal} {caller}");
            assert_eq!(parsed.to_string(), principal);
        }
    }

    #[test]
    fn what_is_no_principal_of_a_person_is_refused_with_the_reason() {
        let table = [
            ("", "is neither a role nor a user of IAM"),
            ("ana", "is neither a role nor a user of IAM"),
            ("group/ops", "is neither a role nor a user of IAM"),
            (
                "arn:aws:iam::123456789012:group/ops",
                "is neither a role nor a user of IAM",
            ),
            (
                "arn:aws:iam:eu-west-1:123456789012:role/a",
                "is neither a role nor a user of IAM",
            ),
            (
                "arn:aws:iam::123456789012:user/ben:x",
                "is neither a role nor a user of IAM",
            ),
            (
                "arn:aws:iam::123456789012:root",
                "is the account itself, which is no person",
            ),
            (
                "arn:aws-x:iam::123456789012:role/a",
                "has the partition `aws-x`, which is none of aws, aws-cn, aws-us-gov",
            ),
            (
                "arn:aws:iam::12345:role/a",
                "has the account `12345`, which is not 12 digits",
            ),
            (
                "arn:aws:iam::123456789012:role/*",
                "has the role name `*`, which IAM would not take",
            ),
            (
                "arn:aws:iam::123456789012:role/",
                "has the role name ``, which IAM would not take",
            ),
            ("role/a:b", "has the session name `b`, which IAM would not take"),
            ("role/a b/c", "has the path `a b`, which IAM would not take"),
            (
                "arn:aws:sts::123456789012:assumed-role/sso-dev/ana",
                "is a session's ARN; IAM's own name of it is `arn:aws:iam::123456789012:role/sso-dev:ana`",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(Principal::parse(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn principals_overlap_where_one_caller_could_be_both() {
        let table = [
            ("role/a", "role/a:ana", true),
            ("role/a:ana", "role/a:ben", false),
            ("role/x/a", "role/a", true),
            ("role/a", "arn:aws:iam::123456789012:role/a", true),
            (
                "arn:aws:iam::210987654321:role/a",
                "arn:aws:iam::123456789012:role/a",
                false,
            ),
            ("role/a", "user/a", false),
            ("user/x/a", "user/a", false),
            ("user/a", "user/a", true),
        ];
        for (one, two, wanted) in table {
            let (first, second) = (Principal::parse(one).unwrap(), Principal::parse(two).unwrap());
            assert_eq!(first.overlaps(&second), wanted, "{one} {two}");
            assert_eq!(second.overlaps(&first), wanted, "{two} {one}");
        }
    }

    proptest! {
        #[test]
        fn two_principals_that_match_one_caller_overlap(
            names in prop::collection::vec(("(role|user)/(x/)?[ab]", prop::option::of("(ana|ben)"), any::<bool>()), 2),
            role in "[ab]", session in "(ana|ben)",
        ) {
            let build = |(resource, session, full): &(String, Option<String>, bool)| {
                let session = session.as_ref().filter(|_| resource.starts_with("role"));
                let session = session.map(|s| format!(":{s}")).unwrap_or_default();
                let home = if *full { format!("arn:aws:iam::{OWN}:") } else { String::new() };
                Principal::parse(&format!("{home}{resource}{session}")).unwrap()
            };
            let principals: Vec<_> = names.iter().map(build).collect();
            let caller = format!("arn:aws:sts::{OWN}:assumed-role/{role}/{session}");
            if principals.iter().all(|p| p.matches(&caller, OWN)) {
                prop_assert!(principals[0].overlaps(&principals[1]));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(arn:aws:iam::123456789012:)?(role|user)?/?.{0,30}") {
            if let Ok(principal) = Principal::parse(&text) {
                prop_assert_eq!(Principal::parse(&principal.to_string()), Ok(principal));
            }
        }
    }
}

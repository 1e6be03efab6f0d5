//! `.helmignore`: which files of a chart's folder are no part of the chart. Helm's rules, `pkg/ignore/rules.go`.

/// The rules of a `.helmignore`, with the one that Helm adds: no dotfiles in `templates/`.
#[derive(Debug, Clone)]
pub struct IgnoreRules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    /// Without the marks around it.
    pattern: Vec<char>,
    /// `!` before it: what does *not* match is left out.
    negated: bool,
    /// `/` after it: for folders only.
    folders: bool,
    /// It has a `/`: for the whole path, else for its last part.
    whole: bool,
}

/// Why a `.helmignore` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of .helmignore {problem}")]
pub struct IgnoreError {
    line: usize,
    problem: &'static str,
}

impl IgnoreRules {
    /// Reads a `.helmignore`; empty text is a folder without one.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let own = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        let mut rules = Vec::new();
        for (line, text) in (1..).zip(own) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            rules.push(Rule::parse(text).map_err(|problem| IgnoreError { line, problem })?);
        }
        rules.extend(Rule::parse("templates/.?*"));
        Ok(Self(rules))
    }

    /// Whether a file or folder is left out; what is in such a folder is, too. The path is relative to the chart's folder.
    ///
    /// The rules are tried in order, and the first that leaves it out decides.
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        self.0.iter().any(|rule| {
            let matches = (!rule.folders || is_folder) && rule.matches(path);
            matches != rule.negated
        })
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains("**") {
            return Err("has `**`, which Helm does not take");
        }
        let (negated, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (folders, text) = match text.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let whole = text.contains('/');
        let pattern: Vec<char> = text.strip_prefix('/').unwrap_or(text).chars().collect();
        if glob(&pattern, &[]).is_none() {
            return Err("is no pattern");
        }
        Ok(Self {
            pattern,
            negated,
            folders,
            whole,
        })
    }

    fn matches(&self, path: &str) -> bool {
        let path = if self.whole {
            path
        } else {
            path.rsplit('/').next().unwrap_or(path)
        };
        let path: Vec<char> = path.chars().collect();
        glob(&self.pattern, &path) == Some(true)
    }
}

/// One step of a pattern.
enum Step {
    /// Any number of characters but `/`.
    Star,
    /// One character but `/`.
    Any,
    /// One of these ranges, or none of them.
    Class(Vec<(char, char)>, bool),
    One(char),
}

/// Whether the pattern matches the whole text, by the rules of Go's `filepath.Match`. None: it is no pattern.
fn glob(pattern: &[char], text: &[char]) -> Option<bool> {
    let mut steps = Vec::new();
    let mut rest = pattern;
    while let Some((step, after)) = step(rest)? {
        steps.push(step);
        rest = after;
    }
    // which places of the text are reached after the steps so far
    let mut reached = vec![false; text.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for step in &steps {
        reached = after(step, text, &reached);
    }
    Some(reached.last() == Some(&true))
}

fn after(step: &Step, text: &[char], reached: &[bool]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    let mut open = false;
    for (at, there) in reached.iter().enumerate() {
        let here = text.get(at).copied();
        if let Step::Star = step {
            open |= there;
            if let Some(next) = next.get_mut(at) {
                *next = open;
            }
            open &= here != Some('/');
        } else if let (true, Some(next)) = (
            *there && here.is_some_and(|c| takes(step, c)),
            next.get_mut(at + 1),
        ) {
            *next = true;
        }
    }
    next
}

fn takes(step: &Step, c: char) -> bool {
    match step {
        Step::Star => false,
        Step::Any => c != '/',
        Step::Class(ranges, negated) => {
            c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
        }
        Step::One(wanted) => c == *wanted,
    }
}

/// The first step and what follows; `Some(None)` at the end.
fn step(pattern: &[char]) -> Option<Option<(Step, &[char])>> {
    Some(Some(match pattern {
        [] => return Some(None),
        ['*', rest @ ..] => (Step::Star, rest),
        ['?', rest @ ..] => (Step::Any, rest),
        ['[', rest @ ..] => class(rest)?,
        ['\\', c, rest @ ..] => (Step::One(*c), rest),
        ['\\'] => return None,
        [c, rest @ ..] => (Step::One(*c), rest),
    }))
}

/// `[a-z]`, `[^a-z]`; never empty.
fn class(pattern: &[char]) -> Option<(Step, &[char])> {
    let (negated, mut rest) = match pattern {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        if let [']', after @ ..] = rest
            && !ranges.is_empty()
        {
            return Some((Step::Class(ranges, negated), after));
        }
        let (low, after) = class_character(rest)?;
        let (high, after) = match after {
            ['-', after @ ..] => class_character(after)?,
            after => (low, after),
        };
        ranges.push((low, high));
        rest = after;
    }
}

fn class_character(pattern: &[char]) -> Option<(char, &[char])> {
    match pattern {
        [] | ['-' | ']', ..] | ['\\'] => None,
        ['\\', c, rest @ ..] => Some((*c, rest)),
        [c, rest @ ..] => Some((*c, rest)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// From Helm's own table of `pkg/ignore/rules_test.go`, in our words.
    #[test]
    fn rules_are_helms() {
        let table = [
            // by the last part of the path
            ("helm.txt", "helm.txt", false, true),
            ("helm.*", "helm.txt", false, true),
            ("helm.*", "rudder.txt", false, false),
            ("*.txt", "tiller.txt", false, true),
            ("*.txt", "cargo/a.txt", false, true),
            ("cargo", "cargo", true, true),
            ("cargo", "mast/cargo", true, true),
            // for folders only
            ("cargo/", "cargo", true, true),
            ("cargo/", "mast/", true, false),
            ("helm.txt/", "helm.txt", false, false),
            // by the whole path
            ("/helm.txt", "helm.txt", false, true),
            ("/*.txt", "cargo/a.txt", false, false),
            ("cargo/*.txt", "cargo/a.txt", false, true),
            ("cargo/*.txt", "mast/a.txt", false, false),
            ("cargo/*.*", "cargo/a.txt", false, true),
            ("ru[c-e]?er.txt", "rudder.txt", false, true),
            ("ru[^c-e]?er.txt", "rudder.txt", false, false),
            ("templates/.?*", "templates/.dotfile", false, true),
            // what does not match a negated rule is left out
            ("!helm.txt", "helm.txt", false, false),
            ("!helm.txt", "tiller.txt", false, true),
            ("!cargo", "cargo", true, false),
            ("!cargo", "mast", true, true),
            ("!cargo/", "a.txt", false, true),
            // comments and space
            ("# helm.txt", "helm.txt", false, false),
            ("\n   \n  helm.txt  \n", "helm.txt", false, true),
            ("a\\*b", "a*b", false, true),
            ("a\\*b", "axb", false, false),
            ("", "templates/.secret", false, true),
            ("", "templates/a.yaml", false, false),
            ("", ".helmignore", false, false),
        ];
        for (rules, path, is_folder, wanted) in table {
            let rules_read = IgnoreRules::parse(rules).unwrap();
            assert_eq!(rules_read.ignores(path, is_folder), wanted, "{rules:?} of {path}");
        }
    }

    #[test]
    fn what_is_no_rule_is_named_with_its_line() {
        for (text, wanted) in [
            (
                "a\n**/b",
                "line 2 of .helmignore has `**`, which Helm does not take",
            ),
            ("[a", "line 1 of .helmignore is no pattern"),
            ("[]a]", "line 1 of .helmignore is no pattern"),
            ("a\\", "line 1 of .helmignore is no pattern"),
            ("[a-]", "line 1 of .helmignore is no pattern"),
        ] {
            assert_eq!(IgnoreRules::parse(text).unwrap_err().to_string(), wanted);
        }
    }

    proptest! {
        #[test]
        fn any_rules_are_read_or_refused(text in "[\\[\\]!*?/\\\\a-c^-]{0,12}", path in "[a-c/.]{0,12}") {
            if let Ok(rules) = IgnoreRules::parse(&text) {
                let _ = rules.ignores(&path, false);
            }
        }

        #[test]
        fn a_plain_name_matches_itself_only(name in "[a-z]{1,8}", other in "[a-z]{1,8}") {
            let rules = IgnoreRules::parse(&name).unwrap();
            let below = format!("x/{name}");
            prop_assert!(rules.ignores(&below, false));
            prop_assert_eq!(rules.ignores(&other, false), name == other);
        }
    }
}

//! Version constraints, as far as it must be known whether Composer can read one: a single one that it cannot read makes the whole
//! metadata of a package unusable.

use crate::version::normalize;

/// The longest constraint.
const MAX_CONSTRAINT: usize = 4096;

/// Whether Composer can read the text as a constraint.
pub(crate) fn is_constraint(text: &str) -> bool {
    let text = text.trim();
    text.len() <= MAX_CONSTRAINT
        && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
        && alternatives(text).into_iter().all(is_conjunction)
}

/// The parts between `|` or `||`.
fn alternatives(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((part, after)) = rest.split_once('|') {
        parts.push(part);
        rest = after.strip_prefix('|').unwrap_or(after);
    }
    parts.push(rest);
    parts
}

/// Constraints that all hold, separated by commas or spaces.
fn is_conjunction(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || text.starts_with(',') || text.ends_with(',') {
        return false;
    }
    text.split(',').all(|part| {
        let words: Vec<&str> = part.split_whitespace().collect();
        !words.is_empty() && are_constraints(&words)
    })
}

fn are_constraints(words: &[&str]) -> bool {
    match words {
        [] => true,
        [from, "-", to, rest @ ..] => is_bound(from) && is_bound(to) && are_constraints(rest),
        [version, "as", alias, rest @ ..] => {
            is_single(version) && normalize(alias).is_some() && are_constraints(rest)
        }
        [operator, version, rest @ ..] if is_operator(operator) => {
            // A commit is read only where nothing stands before the branch.
            !version.contains('#') && is_plain(version) && are_constraints(rest)
        }
        [version, rest @ ..] => is_single(version) && are_constraints(rest),
    }
}

fn is_operator(word: &str) -> bool {
    matches!(word, "<>" | "!=" | ">" | ">=" | "<" | "<=" | "=" | "==")
}

/// One constraint without spaces.
fn is_single(word: &str) -> bool {
    let word = without_flag(word);
    let word = without_reference(word);
    if word.is_empty() || is_anything(word) {
        return true;
    }
    if let Some(version) = word.strip_prefix(['~', '^']) {
        return is_bound(version);
    }
    let unoperated = ["<>", "!=", ">=", "<=", "==", ">", "<", "="].iter().find_map(|o| word.strip_prefix(o));
    match unoperated {
        Some(version) => is_plain(version),
        None => is_wildcard(word) || is_plain(word),
    }
}

/// A stability flag alone stands for any version.
fn without_flag(word: &str) -> &str {
    match word.rsplit_once('@') {
        Some((version, flag))
            if ["stable", "rc", "beta", "alpha", "dev"]
                .iter()
                .any(|known| flag.eq_ignore_ascii_case(known)) =>
        {
            version
        }
        _ => word,
    }
}

/// A commit may follow a branch.
fn without_reference(word: &str) -> &str {
    match word.split_once('#') {
        Some((branch, reference))
            if !reference.is_empty()
                && !branch.contains('@')
                && (branch.len() > 4 && branch.starts_with("dev-") || branch.ends_with(".x-dev")) =>
        {
            branch
        }
        _ => word,
    }
}

/// `*`, `x`, `*.*`.
fn is_anything(word: &str) -> bool {
    let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
    !word.is_empty() && word.split('.').all(is_star)
}

fn is_star(part: &str) -> bool {
    matches!(part, "x" | "X" | "*")
}

/// `1.*`, `1.2.x`, `1.*.*`.
fn is_wildcard(word: &str) -> bool {
    let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
    let parts: Vec<&str> = word.split('.').collect();
    let numbers = parts.iter().take_while(|part| is_number(part)).count();
    (1..=3).contains(&numbers)
        && numbers < parts.len()
        && parts.iter().skip(numbers).all(|part| is_star(part))
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

/// What follows `~` and `^`, and the ends of a range.
fn is_bound(word: &str) -> bool {
    let word = without_flag(word);
    let starts_well = word.trim_start_matches(['v', 'V']).starts_with(|c: char| c.is_ascii_digit());
    starts_well && normalize(word).is_some()
}

/// A version; what ends in `-dev` may be meant as a branch.
fn is_plain(word: &str) -> bool {
    let word = without_reference(without_flag(word));
    let branch = || {
        let name = word.strip_suffix("-dev")?;
        let plain = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/'));
        plain.then_some(())
    };
    !word.is_empty() && (normalize(word).is_some() || branch().is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_composer_reads() {
        for good in [
            "*",
            "^1.0",
            "~1.2.3",
            "1.0",
            ">=1.0",
            ">= 1.0 <2.0",
            ">=1.0,<2.0",
            ">=1.0, <2.0 || ^3",
            "1.0 - 2.0",
            "1.*",
            "1.2.x",
            "dev-main",
            "dev-main#abc123",
            "1.x-dev",
            "1.x-dev#abc",
            "dev-main as 1.0.x-dev",
            "@dev",
            "^1@beta",
            "^7.2|^8.0",
            "!=1.5",
            "<>1.5",
            "==1.0",
            "v1.0",
            "^2.0.0-rc1",
            "feature-dev",
            "x",
            "1.0.*",
            "dev-feature/x",
            ">1.0 !=1.5 <2",
            "~1",
            "8.1.*",
            "^1.0 , ^1.2",
            "1.0.0+build",
        ] {
            assert!(is_constraint(good), "{good}");
        }
        for bad in [
            "",
            "abc",
            "^",
            "~",
            ">=",
            ",1.0",
            "1.0,",
            "1.0,,2.0",
            "1.0 ||",
            "|| 1.0",
            "~>1.0",
            "^abc",
            ">=1.*",
            "1.0 -",
            "- 1.0",
            "1.0 as",
            "latest",
            "^1.0-foo",
            "=>1.0",
            "1.0\u{0}",
            "dev main",
            "self.version",
            "^dev-main",
            "^1.*",
            "~1.2.x",
            ">= 1.x-dev#abc",
        ] {
            assert!(!is_constraint(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}", near in "[0-9.xv^~<>=!|, *@#adersv-]{0,20}") {
            let _ = is_constraint(&text);
            let _ = is_constraint(&near);
        }

        #[test]
        fn every_version_is_a_constraint(text in "v?[0-9]{1,3}(\\.[0-9]{1,3}){0,3}(-(beta|RC|alpha)[0-9]?)?") {
            for prefix in ["", ">=", "^", "~", "<", "!="] {
                let text = format!("{prefix}{text}");
                prop_assert!(is_constraint(&text), "{}", text);
            }
        }
    }
}

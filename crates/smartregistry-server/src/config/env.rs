//! The environment's part of the configuration: `SMARTREGISTRY_STORAGE__URL` is `storage.url`.

use toml::{Table, Value};

use super::keys::{self, Key, Kind};

/// What the names of our variables begin with.
pub(crate) const PREFIX: &str = "SMARTREGISTRY_";

/// The variable that gives the administrator's token; read apart, since it is no configuration key.
pub(crate) const ADMIN_TOKEN: &str = "SMARTREGISTRY_ADMIN_TOKEN";

/// The variable that names the configuration file, as `--config` does.
pub(crate) const CONFIG_FILE: &str = "SMARTREGISTRY_CONFIG";

/// Why a variable is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum EnvError {
    /// No key has this name.
    #[error("unknown environment variable {name}; the nearest known one is {nearest}")]
    Unknown {
        /// The variable as it is set.
        name: String,
        /// The known variable that looks most like it.
        nearest: String,
    },
    /// A key that a later version will have.
    #[error("the environment variable {name} is not supported in this version: {reason}")]
    Unsupported {
        /// The variable as it is set.
        name: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A list or table that is not one TOML value.
    #[error("the environment variable {name} must hold one TOML value, such as ['a', 'b']: {reason}")]
    Syntax {
        /// The variable as it is set.
        name: String,
        /// What the TOML parser said.
        reason: String,
    },
    /// Not text.
    #[error("the environment variable {name} is not UTF-8")]
    NotText {
        /// The variable as it is set.
        name: String,
    },
}

/// Lays the variables over the table that the file gave. Variables of other programs are left alone.
///
/// A variable of a whole table replaces it; those of single keys then apply to the result.
pub(crate) fn overlay(
    config: &mut Table,
    variables: impl IntoIterator<Item = (String, Result<String, ()>)>,
) -> Result<(), EnvError> {
    let mut found = Vec::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if name == ADMIN_TOKEN || name == CONFIG_FILE {
            continue;
        }
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let upper = !rest.chars().any(|c| c.is_ascii_lowercase());
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some(reason) = keys::unsupported_at(&names).filter(|_| upper) {
            return Err(EnvError::Unsupported { name, reason });
        }
        let Some(key) = keys::find(&names).filter(|_| upper) else {
            return Err(EnvError::Unknown { nearest: nearest(&name), name });
        };
        let Ok(text) = text else { return Err(EnvError::NotText { name }) };
        found.push((path, key, text, name));
    }
    // Tables first, then what lies in them.
    found.sort_by(|a, b| (a.0.len(), &a.0).cmp(&(b.0.len(), &b.0)));
    for (path, key, text, name) in found {
        let value = parse(key, &text, &name)?;
        set(config, &path, value);
    }
    Ok(())
}

/// The variable of a configuration key, `SMARTREGISTRY_STORAGE__URL` for `storage.url`.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

/// Sets the value at a path, making the tables on the way.
pub(crate) fn set<S: AsRef<str>>(config: &mut Table, path: &[S], value: Value) {
    let Some((last, tables)) = path.split_last() else { return };
    let mut at = config;
    for name in tables {
        let entry = at.entry(name.as_ref()).or_insert_with(|| Value::Table(Table::new()));
        if !entry.is_table() {
            *entry = Value::Table(Table::new());
        }
        let Value::Table(inner) = entry else { return };
        at = inner;
    }
    at.insert(last.as_ref().to_owned(), value);
}

fn parse(key: &Key, text: &str, name: &str) -> Result<Value, EnvError> {
    match key.kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Scalar => {
            Ok(toml_value(text).ok().filter(is_plain).unwrap_or_else(|| Value::String(text.to_owned())))
        }
        Kind::Value | Kind::Table(_) | Kind::Tables(_) | Kind::Named(_) => {
            toml_value(text).map_err(|reason| EnvError::Syntax { name: name.to_owned(), reason })
        }
        // Refused before, with all that would lie below it.
        Kind::Unsupported(reason) => Err(EnvError::Unsupported { name: name.to_owned(), reason }),
    }
}

/// Whether a scalar may be taken as TOML reads it: `30d` is no number there, and `1979-05-27` no size.
fn is_plain(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Boolean(_) | Value::Float(_) | Value::String(_))
}

fn toml_value(text: &str) -> Result<Value, String> {
    text.trim().parse::<Value>().map_err(|e| e.message().to_owned())
}

fn nearest(name: &str) -> String {
    let fixed = [ADMIN_TOKEN, CONFIG_FILE].map(str::to_owned);
    keys::closest(name, keys::paths().iter().map(|p| variable(p)).chain(fixed)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn laid_over(file: &str, variables: &[(&str, &str)]) -> Result<Table, EnvError> {
        let mut table: Table = file.parse().unwrap();
        overlay(&mut table, variables.iter().map(|(n, t)| ((*n).to_owned(), Ok((*t).to_owned()))))?;
        Ok(table)
    }

    #[track_caller]
    fn check(file: &str, variables: &[(&str, &str)], expect: &str) {
        assert_eq!(laid_over(file, variables).unwrap(), expect.parse::<Table>().unwrap());
    }

    #[test]
    fn variables_win_over_the_file() {
        check("", &[("SMARTREGISTRY_LISTEN", "0.0.0.0:80")], "listen = '0.0.0.0:80'");
        check(
            "[storage]\nurl = 'file:a'\nregion = 'x'",
            &[("SMARTREGISTRY_STORAGE__URL", "memory:")],
            "[storage]\nurl = 'memory:'\nregion = 'x'",
        );
        check(
            "[auth]\nanonymous = ['a', 'b']",
            &[("SMARTREGISTRY_AUTH__ANONYMOUS", "[\"npm:package:*:read\"]")],
            "[auth]\nanonymous = ['npm:package:*:read']",
        );
        check("", &[("SMARTREGISTRY_AUTH__TOKEN_TTL", "900")], "[auth]\ntoken_ttl = 900");
        check("", &[("SMARTREGISTRY_AUTH__TOKEN_TTL", "15m")], "[auth]\ntoken_ttl = '15m'");
        check("", &[("SMARTREGISTRY_ABORT_ON_PANIC", "true")], "abort_on_panic = true");
        check("", &[("SMARTREGISTRY_AUTH__JWT_SECRET", "123456")], "[auth]\njwt_secret = '123456'");
        check("", &[("PATH", "/bin"), ("SMARTREGISTRY_ADMIN_TOKEN", "x")], "");
    }

    #[test]
    fn a_whole_table_replaces_and_single_keys_apply_after_it() {
        check(
            "[storage]\nurl = 'file:a'\nregion = 'x'",
            &[("SMARTREGISTRY_STORAGE__REGION", "y"), ("SMARTREGISTRY_STORAGE", "{ url = 's3://b' }")],
            "[storage]\nurl = 's3://b'\nregion = 'y'",
        );
        check(
            "",
            &[("SMARTREGISTRY_REGISTRY", "[{ name = 'npm-internal', protocol = 'npm' }]")],
            "[[registry]]\nname = 'npm-internal'\nprotocol = 'npm'",
        );
    }

    #[test]
    fn unknown_variables_are_named_with_the_nearest_known_one() {
        for (name, near) in [
            ("SMARTREGISTRY_LISTN", "SMARTREGISTRY_LISTEN"),
            ("SMARTREGISTRY_STORAGE_URL", "SMARTREGISTRY_STORAGE__URL"),
            ("SMARTREGISTRY_ADMINTOKEN", "SMARTREGISTRY_ADMIN_TOKEN"),
            ("SMARTREGISTRY_listen", "SMARTREGISTRY_LISTEN"),
        ] {
            let expect = EnvError::Unknown { name: name.into(), nearest: near.into() };
            assert_eq!(laid_over("", &[(name, "x")]).unwrap_err(), expect);
        }
    }

    #[test]
    fn lists_must_be_toml_and_unsupported_ones_say_so() {
        let error = laid_over("", &[("SMARTREGISTRY_AUTH__ANONYMOUS", "a,b")]).unwrap_err();
        assert!(matches!(error, EnvError::Syntax { .. }), "{error}");
        let name = "SMARTREGISTRY_NPM__MEMBERS";
        let error = laid_over("", &[(name, "{}")]).unwrap_err();
        assert!(matches!(&error, EnvError::Unsupported { name: n, .. } if n == name), "{error}");
    }

    #[test]
    fn every_key_has_a_variable_that_finds_it() {
        for path in keys::paths() {
            let name = variable(&path);
            let mut table = Table::new();
            let set = overlay(&mut table, [(name.clone(), Ok("[]".to_owned()))]);
            assert_eq!(set, Ok(()), "{name}");
            assert_eq!(table.len(), 1, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_variable_makes_it_panic(name in "SMARTREGISTRY_[A-Z_]{0,20}", text in "\\PC*") {
            let _ = overlay(&mut Table::new(), [(name, Ok(text))]);
        }
    }
}

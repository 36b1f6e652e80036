//! `user add`, `user list` and `user remove`.

use std::io::{self, BufRead, Read};

use secrecy::SecretString;
use serde_json::json;
use smartregistry::core::auth::{AuthProvider, NewUser, UserRecord};

use super::{output, token};
use crate::{assemble::Opened, cli::User, exit::Failure};

/// The longest password that is read, in bytes.
const LONGEST: u64 = 4096;

/// Runs one of the commands.
pub(crate) async fn run(store: &Opened, command: User) -> Result<(), Failure> {
    match command {
        User::Add { name, password_stdin: _, scopes, email } => {
            let scopes = token::scopes(&scopes)?;
            let password = password(io::stdin().lock())?;
            let user = NewUser { name, password: Some(password), email, scopes: Some(scopes) };
            let added = store.auth().create_user(user).await;
            added.map(drop).map_err(|e| Failure::while_doing("cannot add the user", &e))
        }
        User::List { json } => {
            let users = store.auth().users().await;
            let users = users.map_err(|e| Failure::while_doing("cannot list the users", &e))?;
            output::print(&if json { as_objects(&users) } else { as_table(&users) })
        }
        User::Remove { name } => {
            let removed = store.auth().remove_user(&name).await;
            removed.map_err(|e| Failure::while_doing("cannot remove the user", &e))
        }
    }
}

/// The first line of what is read, without its line break.
fn password(from: impl Read) -> Result<SecretString, Failure> {
    let mut line = String::new();
    io::BufReader::new(from.take(LONGEST))
        .read_line(&mut line)
        .map_err(|e| Failure::while_doing("cannot read the password from standard input", &e))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::usage("the password on standard input is empty"));
    }
    Ok(SecretString::from(password))
}

fn as_table(users: &[UserRecord]) -> String {
    let head = ["NAME", "SCOPES", "CREATED"].map(str::to_owned).to_vec();
    let rows = users.iter().map(|user| {
        let scopes = if user.scopes.is_empty() { "-".to_owned() } else { user.scopes.join(",") };
        vec![user.name.clone(), scopes, token::time(Some(user.created))]
    });
    output::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn as_objects(users: &[UserRecord]) -> String {
    let objects: Vec<_> = users
        .iter()
        .map(|user| {
            json!({
                "name": user.name,
                "email": user.email,
                "scopes": user.scopes,
                "created": user.created,
                "updated": user.updated,
            })
        })
        .collect();
    format!("{:#}\n", json!(objects))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        let read = |text: &str| password(text.as_bytes()).map(|p| p.expose_secret().to_owned()).ok();
        assert_eq!(read("geheim\n"), Some("geheim".into()));
        assert_eq!(read("geheim\r\nrest"), Some("geheim".into()));
        assert_eq!(read("geheim ohne Umbruch"), Some("geheim ohne Umbruch".into()));
        assert_eq!(read("\n"), None);
        assert_eq!(read(""), None);
    }
}

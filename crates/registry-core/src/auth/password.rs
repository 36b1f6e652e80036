//! Hashing and checking passwords.

use std::sync::{Arc, OnceLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::{AuthError, secret};

/// How many checks run at once: each takes its memory (19 MiB) and a core.
const AT_ONCE: usize = 2;
/// How many may wait for their turn before more are refused.
const WAITING: usize = 128;
/// The longest password, in bytes.
const MAX_PASSWORD: usize = 1024;

/// How much work a hash is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cost {
    /// For hashes that are stored: 19 MiB, two passes.
    Stored,
    /// For hashes that never leave the process's memory: 1 MiB, one pass.
    Memory,
}

/// Hashes and checks passwords with argon2id, away from the async threads and few at once.
#[derive(Debug)]
pub(super) struct Passwords {
    cost: Cost,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// The hash that a password of an unknown user is compared with.
    nobody: Arc<OnceLock<String>>,
}

impl Passwords {
    pub(super) fn new(cost: Cost) -> Self {
        Self {
            cost,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            nobody: Arc::default(),
        }
    }

    /// The hash to store of a new password, or why it is none.
    pub(super) async fn hash(&self, password: &SecretString) -> Result<String, AuthError> {
        accept(password)?;
        let (cost, password) = (self.cost, password.clone());
        self.in_turn(move || hash_now(cost, &password)).await?
    }

    /// [`Passwords::hash`] on this thread, without waiting for a turn.
    pub(super) fn hash_blocking(&self, password: &SecretString) -> Result<String, AuthError> {
        accept(password)?;
        hash_now(self.cost, password)
    }

    /// Whether the password has this hash. Without a hash it never has, which takes as long to find out.
    pub(super) async fn check(&self, password: &SecretString, hash: Option<&str>) -> Result<bool, AuthError> {
        let (cost, nobody) = (self.cost, Arc::clone(&self.nobody));
        let (password, hash) = (password.clone(), hash.map(str::to_owned));
        self.in_turn(move || {
            // Made at the first check of all, so that the first unknown user is not told by the time it takes.
            let nobody = if let Some(made) = nobody.get() {
                made
            } else {
                let unknowable = secret::generate()?;
                let made = hash_now(cost, &unknowable)?;
                nobody.get_or_init(|| made)
            };
            let known = hash.is_some();
            let stored = PasswordHash::new(hash.as_deref().unwrap_or(nobody)).map_err(unusable)?;
            let same =
                Argon2::default().verify_password(password.expose_secret().as_bytes(), &stored).is_ok();
            Ok(same && known)
        })
        .await?
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let busy = || AuthError::TooManyAttempts(std::time::Duration::from_secs(5));
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        // The turn goes into the blocking thread: a client that hangs up does not free it before the work is done.
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, waiting));
            done
        })
        .await
        .map_err(|error| AuthError::Unavailable(Box::new(error)))
    }
}

fn accept(password: &SecretString) -> Result<(), AuthError> {
    let password = password.expose_secret();
    if password.is_empty() {
        Err(AuthError::Rejected("the password is empty".to_owned()))
    } else if password.len() > MAX_PASSWORD {
        Err(AuthError::Rejected(format!("the password is longer than {MAX_PASSWORD} bytes")))
    } else if secret::has_form(password) || password == super::decisions::TOKEN_AS_USER {
        Err(AuthError::Rejected("the password looks like a token; choose another".to_owned()))
    } else {
        Ok(())
    }
}

fn hash_now(cost: Cost, password: &SecretString) -> Result<String, AuthError> {
    let params = match cost {
        Cost::Stored => Params::default(),
        Cost::Memory => {
            Params::new(1024, 1, 1, None).map_err(|error| AuthError::Unavailable(Box::new(error)))?
        }
    };
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.expose_secret().as_bytes())
        .map(|hash| hash.to_string())
        .map_err(unusable)
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> AuthError {
    AuthError::Unavailable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_has_its_own_hash() {
        let passwords = Passwords::new(Cost::Memory);
        let hash = passwords.hash(&"correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=1024,t=1,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(&"correct horse".into()).await.unwrap());
        assert!(passwords.check(&"correct horse".into(), Some(&hash)).await.unwrap());
        assert!(!passwords.check(&"correct horsf".into(), Some(&hash)).await.unwrap());
        assert!(!passwords.check(&"correct horse".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn stored_hashes_take_the_recommended_work() {
        let hash = Passwords::new(Cost::Stored).hash(&"x".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[tokio::test]
    async fn passwords_that_cannot_work_are_refused() {
        let passwords = Passwords::new(Cost::Memory);
        let token = secret::generate().unwrap();
        for bad in ["", &"a".repeat(2000), "x-oauth-basic", token.expose_secret()] {
            let refused = passwords.hash(&bad.into()).await;
            assert!(matches!(refused, Err(AuthError::Rejected(_))), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_and_no_match() {
        let passwords = Passwords::new(Cost::Memory);
        let checked = passwords.check(&"a".into(), Some("$argon2id$broken")).await;
        assert!(matches!(checked, Err(AuthError::Unavailable(_))), "{checked:?}");
    }
}

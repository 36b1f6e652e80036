//! How a provider behaves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use secrecy::SecretString;

use super::ScopeSet;
use crate::{
    InstanceName,
    clock::{Clock, SystemClock},
};

/// How a provider behaves. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthOptions {
    /// What everybody may do without credentials, at every instance that has nothing of its own in
    /// [`AuthOptions::instance_anonymous`]. Nothing by default.
    pub anonymous: ScopeSet,
    /// What everybody may do without credentials at one instance, in place of [`AuthOptions::anonymous`].
    pub instance_anonymous: BTreeMap<InstanceName, ScopeSet>,
    /// Whether clients may make their own users, and what those may do. Not by default.
    pub signup: Option<ScopeSet>,
    /// A token of the user `admin` with all rights. It is stored nowhere and valid as long as it stands here.
    pub admin_token: Option<SecretString>,
    /// The key for signing short-lived tokens, used as it is (32 random characters or more, please). By default one is made
    /// and kept with the users and tokens.
    pub jwt_secret: Option<SecretString>,
    /// For how long a user, a token or a right password is taken as known: after this time at the latest a change made
    /// elsewhere holds here. Changes made through the provider hold at once. 2 s by default.
    pub max_staleness: Duration,
    /// What decides when something expires.
    pub clock: Arc<dyn Clock>,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self {
            anonymous: ScopeSet::nothing(),
            instance_anonymous: BTreeMap::new(),
            signup: None,
            admin_token: None,
            jwt_secret: None,
            max_staleness: Duration::from_secs(2),
            clock: Arc::new(SystemClock),
        }
    }
}

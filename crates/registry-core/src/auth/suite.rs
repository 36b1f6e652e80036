//! One suite for both providers: each test runs on users and tokens in memory and in the store.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::{
    Actor, Instance, InstanceName, Protocol,
    clock::{Clock as _, ManualClock},
    maintenance::GcRun,
    storage::{ProcessRole, Storage, StorageOptions},
};

mod stored;

/// A provider under test with the clock it goes by.
struct Bench {
    auth: Arc<dyn AuthProvider>,
    stored: Option<Arc<StoredAuthProvider>>,
    clock: Arc<ManualClock>,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn set(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

fn instance(name: &str) -> Instance {
    let name: InstanceName = name.parse().unwrap();
    let protocol = if name.as_str() == "oci" { Protocol::Oci } else { Protocol::Npm };
    Instance::new(name, protocol, vec!["/x".parse().unwrap()])
}

fn options(clock: &Arc<ManualClock>) -> AuthOptions {
    AuthOptions { clock: Arc::<ManualClock>::clone(clock), ..AuthOptions::default() }
}

/// Both providers with the same options.
fn both(change: impl Fn(&mut AuthOptions)) -> [Bench; 2] {
    [false, true].map(|in_store| {
        let clock = Arc::new(ManualClock::new(start()));
        let mut options = options(&clock);
        change(&mut options);
        if in_store {
            let storage = Storage::memory(StorageOptions::default());
            let stored = Arc::new(StoredAuthProvider::new(&storage, options).unwrap());
            Bench { auth: Arc::<StoredAuthProvider>::clone(&stored), stored: Some(stored), clock }
        } else {
            let memory = DefaultAuthProvider::builder().options(options).build().unwrap();
            Bench { auth: Arc::new(memory), stored: None, clock }
        }
    })
}

impl Bench {
    async fn who(&self, at: &str, credentials: &Credentials) -> Result<Actor, AuthError> {
        self.auth.authenticate(&AuthRequest::new(&instance(at), Some(credentials), None)).await
    }

    async fn who_from(&self, address: &str, credentials: &Credentials) -> Result<Actor, AuthError> {
        let host = Actor::anonymous().with_address(address.parse().unwrap());
        self.auth.authenticate(&AuthRequest::new(&instance("npm"), Some(credentials), Some(&host))).await
    }

    async fn anonymous(&self, at: &str) -> Actor {
        self.auth.authenticate(&AuthRequest::new(&instance(at), None, None)).await.unwrap()
    }

    async fn user(&self, name: &str, password: &str, scopes: &[&str]) {
        let user = NewUser {
            name: name.to_owned(),
            password: Some(password.into()),
            email: None,
            scopes: Some(set(scopes)),
        };
        self.auth.create_user(user).await.unwrap();
    }

    async fn token(&self, user: &str, scopes: &[&str]) -> MintedToken {
        let mut mint = MintToken::new(user);
        mint.scopes = Some(set(scopes));
        self.auth.mint_token(mint).await.unwrap()
    }

    async fn may(&self, actor: &Actor, name: &str, action: Action) -> Result<(), AuthError> {
        let npm = Protocol::Npm.into();
        let access = Access { protocol: Protocol::Npm, instance: &npm, kind: "package", name, action };
        self.auth.authorize(actor, &access).await
    }
}

fn bearer(secret: &SecretString) -> Credentials {
    Credentials::Bearer(secret.clone())
}

#[track_caller]
fn invalid(result: Result<Actor, AuthError>) -> &'static str {
    match result {
        Err(AuthError::Invalid(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_works_in_every_style() {
    for bench in both(|_| {}) {
        let minted = bench.token("ci", &["npm:package:@acme/*:read"]).await;
        let secret = minted.secret.expose_secret();
        for credentials in [
            Credentials::bearer(secret),
            Credentials::Plain(minted.secret.clone()),
            Credentials::basic("anybody", secret),
            Credentials::basic("", secret),
            Credentials::basic(secret, ""),
            Credentials::basic(secret, "x-oauth-basic"),
        ] {
            let actor = bench.who("npm", &credentials).await.unwrap();
            assert_eq!(actor.user.as_deref(), Some("ci"));
            assert_eq!(actor.token_id.as_deref(), Some(&*minted.record.id));
            bench.may(&actor, "@acme/lib", Action::Read).await.unwrap();
            let refused = bench.may(&actor, "@acme/lib", Action::Write).await;
            assert!(matches!(refused, Err(AuthError::Forbidden(_))), "{refused:?}");
        }
        assert!(secret.starts_with(&minted.record.prefix) && minted.record.prefix.len() < 10);
        assert_eq!(bench.auth.token_id(&minted.secret).await.unwrap(), Some(minted.record.id));
        assert_eq!(bench.auth.token_id(&"other".into()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn bad_credentials_are_never_anonymous() {
    for bench in both(|options| options.anonymous = ScopeSet::everything()) {
        let unknown = secret::generate().unwrap();
        for credentials in [
            bearer(&unknown),
            Credentials::bearer("something"),
            Credentials::Plain("something".into()),
            Credentials::basic("alice", "wrong"),
            Credentials::basic("..", "wrong"),
            Credentials::basic("alice", ""),
            Credentials::basic("alice", unknown.expose_secret()),
        ] {
            let reason = invalid(bench.who("npm", &credentials).await);
            assert!(!reason.contains(unknown.expose_secret()));
        }
    }
}

#[tokio::test]
async fn anonymous_rights_are_everybodys_and_an_instances_own() {
    let own = ("npm-internal".parse::<InstanceName>().unwrap(), ScopeSet::nothing());
    for bench in both(|options| {
        options.anonymous = set(&["npm:package:*:read"]);
        options.instance_anonymous = [own.clone()].into();
    }) {
        let anonymous = bench.anonymous("npm").await;
        bench.may(&anonymous, "a", Action::Read).await.unwrap();
        assert!(matches!(bench.may(&anonymous, "a", Action::Write).await, Err(AuthError::Missing)));
        let anonymous = bench.anonymous("npm-internal").await;
        assert!(matches!(bench.may(&anonymous, "a", Action::Read).await, Err(AuthError::Missing)));
        let minted = bench.token("ci", &["npm:package:b:write"]).await;
        let actor = bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        bench.may(&actor, "a", Action::Read).await.unwrap();
        let actor = bench.who("npm-internal", &bearer(&minted.secret)).await.unwrap();
        assert!(matches!(bench.may(&actor, "a", Action::Read).await, Err(AuthError::Forbidden(_))));
        bench.may(&actor, "b", Action::Write).await.unwrap();
    }
}

#[tokio::test]
async fn a_hosts_actor_keeps_what_is_its_own() {
    for bench in both(|options| options.anonymous = set(&["npm:package:open:read"])) {
        bench.user("alice", "password", &["npm:package:a:write"]).await;
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let host = Actor::anonymous()
            .with_org("acme")
            .with_session("s1")
            .with_address(address)
            .with_attribute("k", "v");
        let npm = instance("npm");
        let minted = bench.token("ci", &["npm:package:*:read"]).await;
        let credentials = bearer(&minted.secret);
        let actor =
            bench.auth.authenticate(&AuthRequest::new(&npm, Some(&credentials), Some(&host))).await.unwrap();
        assert_eq!(
            (actor.name(), actor.org.as_deref(), actor.session.as_deref()),
            ("ci", Some("acme"), Some("s1"))
        );
        assert_eq!((actor.address, actor.attributes.as_ref().unwrap()["k"].as_str()), (Some(address), "v"));

        // Without credentials a host's user is trusted: with the scopes the host gives, or those kept here.
        let trusted = Actor::user("zoe").with_scopes(set(&["npm:package:z:delete"]));
        let actor = bench.auth.authenticate(&AuthRequest::new(&npm, None, Some(&trusted))).await.unwrap();
        bench.may(&actor, "z", Action::Delete).await.unwrap();
        assert!(bench.may(&actor, "open", Action::Read).await.is_err());
        let known = Actor::user("alice");
        let actor = bench.auth.authenticate(&AuthRequest::new(&npm, None, Some(&known))).await.unwrap();
        bench.may(&actor, "a", Action::Write).await.unwrap();
        bench.may(&actor, "open", Action::Read).await.unwrap();
        let unknown = Actor::user("nobody");
        let actor = bench.auth.authenticate(&AuthRequest::new(&npm, None, Some(&unknown))).await.unwrap();
        bench.may(&actor, "open", Action::Read).await.unwrap();
        assert!(matches!(bench.may(&actor, "a", Action::Write).await, Err(AuthError::Forbidden(_))));

        // Credentials win over the host's user.
        let actor = bench
            .auth
            .authenticate(&AuthRequest::new(&npm, Some(&credentials), Some(&trusted)))
            .await
            .unwrap();
        assert_eq!(actor.name(), "ci");
        assert!(bench.may(&actor, "z", Action::Delete).await.is_err());
    }
}

#[tokio::test]
async fn tokens_expire_by_the_clock() {
    for bench in both(|_| {}) {
        let mut mint = MintToken::new("ci");
        mint.scopes = Some(set(&["npm:package:*:read"]));
        mint.expires = Some(start() + chrono::Duration::seconds(3600));
        let minted = bench.auth.mint_token(mint).await.unwrap();
        bench.clock.advance(Duration::from_secs(3599));
        bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(invalid(bench.who("npm", &bearer(&minted.secret)).await), "the token has expired");
        assert!(bench.auth.tokens(&TokenFilter::default()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn revoking_holds_at_once() {
    for bench in both(|_| {}) {
        let minted = bench.token("ci", &["npm:package:*:read"]).await;
        bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        bench.auth.revoke_token(&minted.record.id).await.unwrap();
        assert_eq!(invalid(bench.who("npm", &bearer(&minted.secret)).await), "the token was revoked");
        // Again is no error and moves nothing.
        let ended = TokenFilter { user: None, include_ended: true };
        let first = bench.auth.tokens(&ended).await.unwrap()[0].revoked;
        bench.clock.advance(Duration::from_secs(9));
        bench.auth.revoke_token(&minted.record.id).await.unwrap();
        assert_eq!(bench.auth.tokens(&ended).await.unwrap()[0].revoked, first);
        assert!(first.is_some());
        assert!(bench.auth.tokens(&TokenFilter::default()).await.unwrap().is_empty());
        for unknown in ["0123456789abcdef01234567", "", "../x", "admin"] {
            let missing = bench.auth.revoke_token(unknown).await;
            assert!(matches!(missing, Err(AuthError::NotFound(_))), "{missing:?}");
        }
    }
}

#[tokio::test]
async fn tokens_are_listed_by_user_and_age() {
    for bench in both(|_| {}) {
        for user in ["b", "a", "b"] {
            bench.token(user, &["npm:package:*:read"]).await;
            bench.clock.advance(Duration::from_secs(1));
        }
        let users = |tokens: Vec<TokenRecord>| tokens.into_iter().map(|t| t.user).collect::<Vec<_>>();
        assert_eq!(users(bench.auth.tokens(&TokenFilter::default()).await.unwrap()), ["b", "a", "b"]);
        let filter = TokenFilter { user: Some("b".to_owned()), include_ended: false };
        assert_eq!(users(bench.auth.tokens(&filter).await.unwrap()), ["b", "b"]);
    }
}

#[tokio::test]
async fn a_token_may_be_bound_to_addresses_and_to_reading() {
    for bench in both(|_| {}) {
        let mut mint = MintToken::new("ci");
        mint.scopes = Some(ScopeSet::everything());
        mint.read_only = true;
        mint.cidr = vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()];
        let minted = bench.auth.mint_token(mint).await.unwrap();
        let credentials = bearer(&minted.secret);
        for good in ["192.0.2.9", "2001:db8::1", "::ffff:192.0.2.1"] {
            let actor = bench.who_from(good, &credentials).await.unwrap();
            bench.may(&actor, "a", Action::Read).await.unwrap();
            for action in [Action::Write, Action::Delete] {
                assert!(matches!(bench.may(&actor, "a", action).await, Err(AuthError::Forbidden(_))));
            }
        }
        let elsewhere = bench.who_from("198.51.100.1", &credentials).await;
        assert!(matches!(elsewhere, Err(AuthError::Address)), "{elsewhere:?}");
        // An address that is not known is none of them.
        assert!(matches!(bench.who("npm", &credentials).await, Err(AuthError::Address)));
    }
}

#[tokio::test]
async fn tokens_that_make_no_sense_are_refused() {
    for bench in both(|_| {}) {
        let good = || {
            let mut mint = MintToken::new("ci");
            mint.scopes = Some(set(&["npm:package:*:read"]));
            mint
        };
        let bad = [
            MintToken::new("nobody"),
            MintToken { user: "a b".to_owned(), ..good() },
            MintToken { user: String::new(), ..good() },
            MintToken { user: "a".repeat(129), ..good() },
            MintToken { expires: Some(start()), ..good() },
            MintToken { cidr: vec!["10.0.0.0/99".to_owned()], ..good() },
            MintToken { name: Some("a\nb".to_owned()), ..good() },
        ];
        for mint in bad {
            let refused = bench.auth.mint_token(mint).await;
            assert!(matches!(refused, Err(AuthError::Rejected(_))), "{refused:?}");
        }
        assert!(bench.auth.tokens(&TokenFilter::default()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn users_are_made_changed_and_removed() {
    for bench in both(|_| {}) {
        bench.user("bob", "first", &["npm:package:b:write"]).await;
        bench.user("Alice", "first", &[]).await;
        let names: Vec<_> = bench.auth.users().await.unwrap().into_iter().map(|user| user.name).collect();
        assert_eq!(names, ["Alice", "bob"]);
        let again = NewUser { name: "bob".to_owned(), password: None, email: None, scopes: None };
        assert!(matches!(bench.auth.create_user(again.clone()).await, Err(AuthError::Exists(_))));
        assert!(matches!(bench.auth.user("alice").await, Ok(None)));

        let actor = bench.who("npm", &Credentials::basic("bob", "first")).await.unwrap();
        bench.may(&actor, "b", Action::Write).await.unwrap();
        assert_eq!(actor.token_id, None);

        let change = NewUser {
            password: Some("second".into()),
            email: Some("bob@example.com".to_owned()),
            scopes: Some(set(&["npm:package:b:read"])),
            ..again.clone()
        };
        let record = bench.auth.update_user(change).await.unwrap();
        assert_eq!(record.email.as_deref(), Some("bob@example.com"));
        invalid(bench.who("npm", &Credentials::basic("bob", "first")).await);
        let actor = bench.who("npm", &Credentials::basic("bob", "second")).await.unwrap();
        bench.may(&actor, "b", Action::Read).await.unwrap();
        assert!(bench.may(&actor, "b", Action::Write).await.is_err());
        // What is not given stays.
        let record = bench.auth.update_user(again.clone()).await.unwrap();
        assert_eq!((record.email.as_deref(), record.scopes.len()), (Some("bob@example.com"), 1));

        bench.auth.remove_user("bob").await.unwrap();
        invalid(bench.who("npm", &Credentials::basic("bob", "second")).await);
        assert!(bench.auth.user("bob").await.unwrap().is_none());
        assert!(matches!(bench.auth.remove_user("bob").await, Err(AuthError::NotFound(_))));
        assert!(matches!(bench.auth.update_user(again).await, Err(AuthError::NotFound(_))));
        assert!(matches!(bench.auth.remove_user("../x").await, Err(AuthError::NotFound(_))));
    }
}

#[tokio::test]
async fn tokens_end_with_their_user_and_do_not_come_back() {
    for bench in both(|_| {}) {
        bench.user("bob", "password", &["npm:package:b:write"]).await;
        let own = bench.token("bob", &["npm:package:*:read"]).await;
        let follows = bench.auth.mint_token(MintToken::new("bob")).await.unwrap();
        let actor = bench.who("npm", &bearer(&follows.secret)).await.unwrap();
        bench.may(&actor, "b", Action::Write).await.unwrap();
        bench.who("npm", &bearer(&own.secret)).await.unwrap();

        bench.auth.remove_user("bob").await.unwrap();
        for token in [&own, &follows] {
            invalid(bench.who("npm", &bearer(&token.secret)).await);
        }
        assert!(bench.auth.tokens(&TokenFilter::default()).await.unwrap().is_empty());

        bench.user("bob", "another", &["npm:package:b:write"]).await;
        for token in [&own, &follows] {
            invalid(bench.who("npm", &bearer(&token.secret)).await);
        }
        // Made at the very moment of the removal by the clock, but after it.
        let new = bench.auth.mint_token(MintToken::new("bob")).await.unwrap();
        bench.who("npm", &bearer(&new.secret)).await.unwrap();
    }
}

#[tokio::test]
async fn a_name_that_only_has_tokens_can_be_removed() {
    for bench in both(|_| {}) {
        let minted = bench.token("ci", &["npm:package:*:read"]).await;
        bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        bench.auth.remove_user("ci").await.unwrap();
        invalid(bench.who("npm", &bearer(&minted.secret)).await);
        assert!(bench.auth.users().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_token_without_scopes_has_its_users_of_now() {
    for bench in both(|_| {}) {
        bench.user("bob", "password", &["npm:package:b:read"]).await;
        let minted = bench.auth.mint_token(MintToken::new("bob")).await.unwrap();
        let actor = bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        assert!(bench.may(&actor, "b", Action::Write).await.is_err());
        let change = NewUser {
            name: "bob".to_owned(),
            password: None,
            email: None,
            scopes: Some(set(&["npm:package:b:*"])),
        };
        bench.auth.update_user(change).await.unwrap();
        let actor = bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        bench.may(&actor, "b", Action::Write).await.unwrap();
    }
}

#[tokio::test]
async fn guessing_is_stopped_and_forgotten() {
    for bench in both(|_| {}) {
        bench.user("bob", "right", &[]).await;
        for n in 0..20 {
            invalid(bench.who_from("192.0.2.1", &Credentials::basic("bob", format!("wrong{n}"))).await);
        }
        let refused = bench.who_from("192.0.2.1", &Credentials::basic("bob", "right")).await;
        let Err(AuthError::TooManyAttempts(wait)) = refused else { panic!("{refused:?}") };
        assert_eq!(wait, Duration::from_secs(6));
        let address = Some("192.0.2.1".parse().unwrap());
        let refused = bench.auth.check_password("bob", &"right".into(), address).await;
        assert!(matches!(refused, Err(AuthError::TooManyAttempts(_))), "{refused:?}");
        // Others, and the user from elsewhere, are not touched.
        bench.who_from("192.0.2.2", &Credentials::basic("bob", "right")).await.unwrap();
        bench.clock.advance(wait);
        assert!(bench.auth.check_password("bob", &"right".into(), address).await.unwrap());
        // Users that do not exist are counted alike.
        for n in 0..20 {
            invalid(bench.who_from("192.0.2.3", &Credentials::basic("eve", format!("wrong{n}"))).await);
        }
        let refused = bench.who_from("192.0.2.3", &Credentials::basic("eve", "x")).await;
        assert!(matches!(refused, Err(AuthError::TooManyAttempts(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn many_at_once_with_one_password_check_it_once() {
    for bench in both(|_| {}) {
        bench.user("bob", "right", &[]).await;
        let bench = Arc::new(bench);
        let all = (0..200).map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.who("npm", &Credentials::basic("bob", "right")).await.unwrap() })
        });
        // Each check would count against guessing until it is over, so 200 would not pass.
        for actor in futures_util::future::join_all(all).await {
            assert_eq!(actor.unwrap().name(), "bob");
        }
    }
}

#[tokio::test]
async fn the_administrators_token_is_good_while_it_is_given() {
    let admin = "an administrator's token";
    for bench in both(|options| options.admin_token = Some(admin.into())) {
        for credentials in [
            Credentials::bearer(admin),
            Credentials::Plain(admin.into()),
            Credentials::basic("admin", admin),
            Credentials::basic("", admin),
            Credentials::basic(admin, ""),
        ] {
            let actor = bench.who("oci", &credentials).await.unwrap();
            assert_eq!(actor.name(), "admin");
            bench.may(&actor, "a", Action::Delete).await.unwrap();
        }
        assert!(bench.auth.tokens(&TokenFilter::default()).await.unwrap().is_empty());
        assert_eq!(bench.auth.token_id(&admin.into()).await.unwrap().as_deref(), Some("admin"));
        assert!(matches!(bench.auth.revoke_token("admin").await, Err(AuthError::Rejected(_))));
        invalid(bench.who("oci", &Credentials::bearer("an administrator's tokeN")).await);
    }
}

#[tokio::test]
async fn last_use_is_kept_to_about_a_minute() {
    for bench in both(|_| {}) {
        let minted = bench.token("ci", &["npm:package:*:read"]).await;
        let last_used = || async { bench.auth.tokens(&TokenFilter::default()).await.unwrap()[0].last_used };
        assert_eq!(last_used().await, None);
        bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        assert_eq!(last_used().await, Some(start()));
        bench.clock.advance(Duration::from_secs(59));
        bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        assert_eq!(last_used().await, Some(start()));
        bench.clock.advance(Duration::from_secs(1));
        bench.who("npm", &bearer(&minted.secret)).await.unwrap();
        assert_eq!(last_used().await, Some(bench.clock.now()));
    }
}

fn claims(sub: &str, token_id: Option<&str>) -> RegistryClaims {
    let now = start().timestamp();
    RegistryClaims {
        iss: "registry.example.com".to_owned(),
        sub: sub.to_owned(),
        aud: "registry.example.com".to_owned(),
        exp: now + 900,
        nbf: now,
        iat: now,
        jti: "1".to_owned(),
        token_id: token_id.map(str::to_owned),
        access: serde_json::json!([]),
    }
}

impl Bench {
    async fn signed(&self, sub: &str, token_id: Option<&str>) -> SecretString {
        self.auth.sign(&claims(sub, token_id)).await.unwrap()
    }

    async fn holds(&self, signed: &SecretString) -> bool {
        match self.auth.verify(signed, "registry.example.com").await {
            Ok(_) => true,
            Err(AuthError::Invalid(_)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn signed_tokens_end_with_what_they_were_made_for() {
    for bench in both(|options| options.admin_token = Some("an administrator's token".into())) {
        bench.user("bob", "password", &[]).await;
        bench.user("zoe", "password", &[]).await;
        bench.clock.advance(Duration::from_secs(1));
        let minted = bench.token("ci", &["npm:package:*:read"]).await;
        let mut mint = MintToken::new("ci");
        mint.scopes = Some(ScopeSet::everything());
        mint.expires = Some(start() + chrono::Duration::seconds(60));
        let short = bench.auth.mint_token(mint).await.unwrap();
        let mut of_password = claims("bob", None);
        of_password.iat += 1;
        let of_password = bench.auth.sign(&of_password).await.unwrap();
        let mut of_other = claims("zoe", None);
        of_other.iat += 1;
        let of_other = bench.auth.sign(&of_other).await.unwrap();
        let of_token = bench.signed("ci", Some(&minted.record.id)).await;
        let of_short = bench.signed("ci", Some(&short.record.id)).await;
        let of_admin = bench.signed("admin", Some("admin")).await;
        let of_unknown = bench.signed("ci", Some("0123456789abcdef01234567")).await;
        let of_host = bench.signed("a-hosts-user", None).await;
        let of_anonymous = bench.signed("", None).await;
        for good in [&of_password, &of_other, &of_token, &of_short, &of_admin, &of_host, &of_anonymous] {
            assert!(bench.holds(good).await);
        }
        assert!(!bench.holds(&of_unknown).await);

        bench.clock.advance(Duration::from_secs(59));
        assert!(!bench.holds(&of_short).await);
        bench.auth.revoke_token(&minted.record.id).await.unwrap();
        assert!(!bench.holds(&of_token).await);
        bench.auth.remove_user("bob").await.unwrap();
        assert!(!bench.holds(&of_password).await);
        let change =
            NewUser { name: "zoe".to_owned(), password: Some("another".into()), email: None, scopes: None };
        assert!(bench.holds(&of_other).await);
        bench.auth.update_user(change).await.unwrap();
        assert!(!bench.holds(&of_other).await);
        for good in [&of_admin, &of_host, &of_anonymous] {
            assert!(bench.holds(good).await);
        }
        bench.clock.advance(Duration::from_mins(15));
        for over in [&of_admin, &of_host, &of_anonymous] {
            assert!(!bench.holds(over).await);
        }
    }
    for bench in both(|_| {}) {
        let of_admin = bench.signed("admin", Some("admin")).await;
        assert!(!bench.holds(&of_admin).await);
    }
}

//! Scopes: `protocol:type:name:actions`.
//!
//! The first part is a protocol (every instance of it), `*` (everything), or the name of an instance that is not a protocol's
//! default one (only that instance). The second is the resource's type: the protocol's own ([`Protocol::resource_type`]),
//! `package` for the protocol's own whatever it is called, `registry` for OCI's catalog, or `*`. All between the second and
//! the last colon is the name, in which `*` stands for any run of characters, also none and also with slashes. The last is
//! a list of `read` (= `pull`), `write` (= `push`), `delete` and `*`, separated by commas.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::AuthError;
use crate::{Actor, InstanceName, Pattern, Protocol};

/// The longest scope that is taken, in bytes.
const MAX_SCOPE: usize = 1024;

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `delete`: delete, unpublish, yank.
    Delete,
    /// `read` (= `pull`).
    Read,
    /// `write` (= `push`).
    Write,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 3] = [Self::Delete, Self::Read, Self::Write];

    /// `delete`, `read` or `write`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Delete => 1,
            Self::Read => 2,
            Self::Write => 4,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The instance.
    pub instance: &'a InstanceName,
    /// The resource's type: [`Protocol::resource_type`], or another of the protocol's (`registry` for OCI's catalog).
    pub kind: &'a str,
    /// The resource's name.
    pub name: &'a str,
    /// What to do to it.
    pub action: Action,
}

impl Access<'_> {
    /// The plain rule of [`super::AuthProvider::authorize`]: one of the actor's scopes allows this, and a read-only token
    /// only reads. What is refused is [`AuthError::Missing`] for the anonymous actor, else [`AuthError::Forbidden`].
    pub fn decide(&self, actor: &Actor) -> Result<(), AuthError> {
        let granted = actor.scopes.as_ref().is_some_and(|scopes| scopes.allows(self));
        if granted && (self.action == Action::Read || !actor.read_only) {
            Ok(())
        } else if actor.is_anonymous() {
            Err(AuthError::Missing)
        } else if granted {
            Err(AuthError::Forbidden("this token is for reading only".to_owned()))
        } else {
            let Self { protocol, kind, name, action, .. } = self;
            Err(AuthError::Forbidden(format!("{} may not {action} {protocol} {kind} `{name}`", actor.name())))
        }
    }
}

/// A scope. It is equal to another when both were written alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    text: Box<str>,
    realm: Realm,
    kind: Kind,
    name: Pattern,
    actions: u8,
}

/// The first part of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Realm {
    Any,
    Protocol(Protocol),
    Instance(InstanceName),
}

/// The second part of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// Every type.
    Any,
    /// The protocol's own resource type.
    Own,
    /// The own resource type of the protocols that call it so.
    OwnCalled(&'static str),
    /// OCI's `registry` (the catalog).
    Registry,
}

/// Why a text is no scope.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{scope}` is no scope: {reason}")]
pub struct ScopeError {
    /// The text, cut where it is very long.
    pub scope: String,
    /// What is wrong and how it should be.
    pub reason: &'static str,
}

/// Scopes together: what one grants, all grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(Vec<Scope>);

impl Scope {
    /// `*:*:*:*`: everything.
    pub fn everything() -> Self {
        Self {
            text: "*:*:*:*".into(),
            realm: Realm::Any,
            kind: Kind::Any,
            name: Pattern::new("*"),
            actions: Action::ALL.into_iter().fold(0, |bits, action| bits | action.bit()),
        }
    }

    /// Whether this scope allows the access.
    pub fn allows(&self, access: &Access<'_>) -> bool {
        self.actions & access.action.bit() != 0
            && self.realm.holds(access.protocol, access.instance)
            && self.kind.holds(access)
            && self.name.matches(access.name)
    }

    /// The scope as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every access that `other` allows with this action is allowed here too. `home` is the protocol of `other`'s
    /// instance where it is known.
    fn covers(&self, other: &Self, action: Action, home: Option<(&InstanceName, Protocol)>) -> bool {
        self.actions & action.bit() != 0
            && self.realm.covers(&other.realm, home)
            && self.kind.covers(other.kind, &other.realm, home)
            && self.name.covers(&other.name)
    }
}

impl Realm {
    fn holds(&self, protocol: Protocol, instance: &InstanceName) -> bool {
        match self {
            Self::Any => true,
            Self::Protocol(own) => *own == protocol,
            Self::Instance(own) => own == instance,
        }
    }

    fn covers(&self, other: &Self, home: Option<(&InstanceName, Protocol)>) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Protocol(own), _) => other.protocol(home) == Some(*own),
            (Self::Instance(own), Self::Instance(other)) => own == other,
            (Self::Instance(_), _) => false,
        }
    }

    /// The one protocol that accesses within this realm have, where there is one and it is known.
    fn protocol(&self, home: Option<(&InstanceName, Protocol)>) -> Option<Protocol> {
        match self {
            Self::Any => None,
            Self::Protocol(own) => Some(*own),
            Self::Instance(own) => home.filter(|(name, _)| *name == own).map(|(_, protocol)| protocol),
        }
    }
}

impl Kind {
    fn parse(text: &str, realm: &Realm) -> Result<Self, &'static str> {
        let kind = match text {
            "*" => return Ok(Self::Any),
            "package" => return Ok(Self::Own),
            "artifact" => Self::OwnCalled("artifact"),
            "crate" => Self::OwnCalled("crate"),
            "gem" => Self::OwnCalled("gem"),
            "registry" => Self::Registry,
            "repository" => Self::OwnCalled("repository"),
            _ => {
                return Err(
                    "its type is not one of `package`, `repository`, `artifact`, `crate`, `gem`, `registry` and `*`",
                );
            }
        };
        match (realm, kind) {
            (Realm::Protocol(protocol), Self::OwnCalled(called)) => {
                if protocol.resource_type() == called {
                    Ok(Self::Own)
                } else {
                    Err(
                        "its protocol has no resources of this type; `package` and `*` are good for every protocol",
                    )
                }
            }
            (Realm::Protocol(protocol), Self::Registry) if *protocol != Protocol::Oci => {
                Err("only `oci` has the type `registry`; `package` and `*` are good for every protocol")
            }
            (_, kind) => Ok(kind),
        }
    }

    fn holds(self, access: &Access<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Own => access.kind == access.protocol.resource_type(),
            Self::OwnCalled(called) => called == access.kind && called == access.protocol.resource_type(),
            Self::Registry => access.kind == "registry",
        }
    }

    fn covers(self, other: Self, realm: &Realm, home: Option<(&InstanceName, Protocol)>) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Own, other) => matches!(other, Self::Own | Self::OwnCalled(_)),
            (Self::OwnCalled(own), Self::OwnCalled(other)) => own == other,
            (Self::OwnCalled(own), Self::Own) => {
                realm.protocol(home).is_some_and(|protocol| protocol.resource_type() == own)
            }
            (Self::Registry, other) => other == Self::Registry,
            (Self::OwnCalled(_), _) => false,
        }
    }
}

impl ScopeSet {
    /// The set that allows nothing.
    pub const fn nothing() -> Self {
        Self(Vec::new())
    }

    /// The set that allows everything (`*:*:*:*`).
    pub fn everything() -> Self {
        Self(vec![Scope::everything()])
    }

    /// Parses scopes; the first that is none is the error.
    pub fn parse<I: IntoIterator<Item: AsRef<str>>>(texts: I) -> Result<Self, ScopeError> {
        texts.into_iter().map(|text| text.as_ref().parse()).collect()
    }

    /// Whether any of the scopes allows the access.
    pub fn allows(&self, access: &Access<'_>) -> bool {
        self.0.iter().any(|scope| scope.allows(access))
    }

    /// Whether any scope allows the action on *some* resource of the protocol's instance: for lists and searches, which
    /// then show what [`ScopeSet::allows`]. A scope of type `registry` allows nothing on resources.
    pub fn allows_any(&self, protocol: Protocol, instance: &InstanceName, action: Action) -> bool {
        self.0.iter().any(|scope| {
            scope.actions & action.bit() != 0
                && scope.realm.holds(protocol, instance)
                && match scope.kind {
                    Kind::Any | Kind::Own => true,
                    Kind::OwnCalled(called) => called == protocol.resource_type(),
                    Kind::Registry => false,
                }
        })
    }

    /// Whether every access that `other` allows is allowed here too (a user mints tokens only within their own scopes).
    ///
    /// A yes is always right. A no may be too careful: names are compared scope by scope, and of an instance that is named in
    /// `other` the protocol is not known here ([`ScopeSet::covers_within`] knows it).
    pub fn covers(&self, other: &Scope) -> bool {
        self.covers_in(other, None)
    }

    /// [`ScopeSet::covers`] for a scope that may name this instance: scopes of the instance's protocol then cover it.
    pub fn covers_within(&self, instance: &InstanceName, protocol: Protocol, other: &Scope) -> bool {
        self.covers_in(other, Some((instance, protocol)))
    }

    fn covers_in(&self, other: &Scope, home: Option<(&InstanceName, Protocol)>) -> bool {
        Action::ALL
            .into_iter()
            .filter(|action| other.actions & action.bit() != 0)
            .all(|action| self.0.iter().any(|scope| scope.covers(other, action, home)))
    }

    /// What this set or the other allows.
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(other.iter().filter(|scope| !self.0.contains(scope)).cloned());
        Self(all)
    }

    /// The scopes.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether there are no scopes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes as they were written.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.text.into()
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| ScopeError { scope: text.chars().take(200).collect(), reason };
        if text.len() > MAX_SCOPE {
            return Err(refuse("it is longer than 1024 bytes"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refuse("it has white space or control characters in it"));
        }
        let shape =
            || refuse("write it `protocol:type:name:actions`, for example `npm:package:@acme/*:read`");
        let (realm, rest) = text.split_once(':').ok_or_else(shape)?;
        let (kind, rest) = rest.split_once(':').ok_or_else(shape)?;
        let (name, actions) = rest.rsplit_once(':').ok_or_else(shape)?;
        let realm = match realm {
            "*" => Realm::Any,
            _ => match realm.parse::<Protocol>() {
                Ok(protocol) => Realm::Protocol(protocol),
                Err(_) => Realm::Instance(realm.parse().map_err(|_| {
                    refuse("its first part is neither a protocol, nor the name of an instance, nor `*`")
                })?),
            },
        };
        let kind = Kind::parse(kind, &realm).map_err(refuse)?;
        if name.is_empty() {
            return Err(refuse("its name is empty; `*` stands for every name"));
        }
        let actions = parse_actions(actions).map_err(refuse)?;
        Ok(Self { text: text.into(), realm, kind, name: Pattern::new(name), actions })
    }
}

fn parse_actions(text: &str) -> Result<u8, &'static str> {
    text.split(',').try_fold(0, |bits, action| {
        Ok(bits
            | match action {
                "*" => Action::ALL.into_iter().fold(0, |all, action| all | action.bit()),
                "delete" => Action::Delete.bit(),
                "pull" | "read" => Action::Read.bit(),
                "push" | "write" => Action::Write.bit(),
                _ => return Err("its actions are not a list of `read`, `write`, `delete` and `*`"),
            })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    fn set(texts: &[&str]) -> ScopeSet {
        ScopeSet::parse(texts).unwrap()
    }

    #[track_caller]
    fn check(scope_text: &str, access: (Protocol, &str, &str, &str, Action), want: bool) {
        let (protocol, instance, kind, name, action) = access;
        let instance = instance.parse().unwrap();
        let access = Access { protocol, instance: &instance, kind, name, action };
        assert_eq!(scope(scope_text).allows(&access), want, "{scope_text} {access:?}");
    }

    #[test]
    fn scopes_allow_what_they_say() {
        use Action::{Delete, Read, Write};
        use Protocol::{Cargo, Maven, Npm, Oci};
        for (text, access, want) in [
            ("oci:repository:myorg/myapp:pull,push", (Oci, "oci", "repository", "myorg/myapp", Read), true),
            ("oci:repository:myorg/myapp:pull,push", (Oci, "oci", "repository", "myorg/myapp", Write), true),
            (
                "oci:repository:myorg/myapp:pull,push",
                (Oci, "oci", "repository", "myorg/myapp", Delete),
                false,
            ),
            ("oci:repository:myorg/myapp:pull,push", (Oci, "oci", "repository", "myorg/myapp2", Read), false),
            ("oci:repository:team/*:pull", (Oci, "oci", "repository", "team/a/b", Read), true),
            ("oci:repository:team/*:pull", (Oci, "oci", "repository", "team", Read), false),
            ("oci:repository:team/*:pull", (Oci, "oci", "repository", "teamwork/a", Read), false),
            ("oci:package:a:pull", (Oci, "oci", "repository", "a", Read), true),
            ("oci:package:catalog:*", (Oci, "oci", "registry", "catalog", Read), false),
            ("oci:*:*:pull", (Oci, "oci", "registry", "catalog", Read), true),
            ("oci:registry:catalog:*", (Oci, "oci", "registry", "catalog", Read), true),
            ("npm:package:@acme/*:read", (Npm, "npm", "package", "@acme/lib", Read), true),
            ("npm:package:@acme/*:read", (Npm, "npm-internal", "package", "@acme/lib", Read), true),
            ("npm:package:@acme/*:read", (Npm, "npm", "package", "lib", Read), false),
            ("npm-internal:package:*:read", (Npm, "npm-internal", "package", "a", Read), true),
            ("npm-internal:package:*:read", (Npm, "npm", "package", "a", Read), false),
            ("maven:artifact:com.acme:lib:read", (Maven, "maven", "artifact", "com.acme:lib", Read), true),
            ("maven:artifact:com.acme:*:read", (Maven, "maven", "artifact", "com.acme:lib", Read), true),
            ("maven:artifact:com.acme.*:read", (Maven, "maven", "artifact", "com.acme.x:lib", Read), true),
            ("*:crate:a:*", (Cargo, "cargo", "crate", "a", Delete), true),
            ("*:crate:a:*", (Npm, "npm", "package", "a", Delete), false),
            ("*:*:*:*", (Npm, "npm", "package", "a", Delete), true),
            ("*:package:*:delete", (Oci, "oci", "repository", "a", Delete), true),
        ] {
            check(text, access, want);
        }
    }

    #[test]
    fn texts_that_are_no_scopes_are_refused() {
        for bad in [
            "",
            "npm",
            "npm:package",
            "npm:package:x",
            "npm:package::read",
            "npm:package:x:",
            "npm:package:x:readd",
            "npm:package:x:read,",
            "npm:crate:x:read",
            "npm:registry:x:read",
            "npm:thing:x:read",
            "Npm:package:x:read",
            "npm:package:a b:read",
            "npm:package:a\u{0}:read",
            ":package:a:read",
            &format!("npm:package:{}:read", "a".repeat(2000)),
        ] {
            let error = bad.parse::<Scope>().unwrap_err();
            assert!(error.to_string().len() < 600, "{error}");
        }
    }

    #[test]
    fn covers_narrows() {
        for (have, want, yes) in [
            (&["*:*:*:*"][..], "npm:package:a:read", true),
            (&["npm:package:*:read"], "npm:package:@a/*:read", true),
            (&["npm:package:*:read"], "npm:package:@a/*:read,write", false),
            (&["npm:package:*:read", "npm:package:@a/*:write"], "npm:package:@a/x:read,write", true),
            (&["npm:package:@a/*:read"], "npm:package:*:read", false),
            (&["npm:package:@a/*:read"], "npm:*:@a/b:read", false),
            (&["npm:*:@a/*:read"], "npm:package:@a/b:read", true),
            (&["npm:package:*:read"], "npm-internal:package:a:read", false),
            (&["oci:repository:*:*"], "oci:package:a:pull", true),
            (&["*:repository:*:*"], "oci:package:a:pull", true),
            (&["*:repository:*:*"], "npm:package:a:pull", false),
            (&["*:package:*:*"], "*:repository:a:pull", true),
            (&["npm:package:a*c:read"], "npm:package:a*b*c:read", true),
            (&["npm:package:a*b*c:read"], "npm:package:a*c:read", false),
        ] {
            assert_eq!(set(have).covers(&scope(want)), yes, "{have:?} {want}");
        }
    }

    #[test]
    fn covers_within_knows_the_instance() {
        let internal = "npm-internal".parse().unwrap();
        let have = set(&["npm:package:@a/*:read"]);
        let want = scope("npm-internal:package:@a/b:read");
        assert!(have.covers_within(&internal, Protocol::Npm, &want));
        assert!(!have.covers_within(&internal, Protocol::Oci, &want));
        assert!(!have.covers_within(&"other".parse().unwrap(), Protocol::Npm, &want));
    }

    #[test]
    fn lists_ask_for_some_resource() {
        let (npm, internal) = ("npm".parse().unwrap(), "npm-internal".parse().unwrap());
        let have = set(&["npm-internal:package:a:read", "oci:registry:catalog:*", "*:crate:x:read"]);
        assert!(have.allows_any(Protocol::Npm, &internal, Action::Read));
        assert!(!have.allows_any(Protocol::Npm, &internal, Action::Write));
        assert!(!have.allows_any(Protocol::Npm, &npm, Action::Read));
        assert!(!have.allows_any(Protocol::Oci, &Protocol::Oci.into(), Action::Read));
        assert!(have.allows_any(Protocol::Cargo, &Protocol::Cargo.into(), Action::Read));
    }

    #[test]
    fn decisions_say_missing_forbidden_or_yes() {
        let instance = Protocol::Npm.into();
        let access = |action| Access {
            protocol: Protocol::Npm,
            instance: &instance,
            kind: "package",
            name: "a",
            action,
        };
        let mut actor = Actor::anonymous();
        assert!(matches!(access(Action::Read).decide(&actor), Err(AuthError::Missing)));
        actor = actor.with_scopes(set(&["npm:package:a:*"]));
        assert!(access(Action::Write).decide(&actor).is_ok());
        actor.user = Some("alice".into());
        actor.read_only = true;
        assert!(access(Action::Read).decide(&actor).is_ok());
        let error = access(Action::Write).decide(&actor).unwrap_err();
        assert_eq!(error.to_string(), "this token is for reading only");
        let error = access(Action::Delete).decide(&Actor::user("bob")).unwrap_err();
        assert_eq!(error.to_string(), "bob may not delete npm package `a`");
    }

    fn realms() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["*", "npm", "oci", "cargo", "other"])
    }

    fn scopes() -> impl Strategy<Value = Scope> {
        let kinds = prop::sample::select(vec!["*", "package", "repository", "crate", "registry"]);
        let actions =
            prop::sample::subsequence(vec!["read", "write", "delete"], 1..=3).prop_map(|a| a.join(","));
        (realms(), kinds, "[ab/*]{1,6}", actions)
            .prop_filter_map("types fit", |(realm, kind, name, actions)| {
                format!("{realm}:{kind}:{name}:{actions}").parse().ok()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn covers_is_sound(
            have in prop::collection::vec(scopes(), 1..4),
            want in scopes(),
            names in prop::collection::vec("[ab/*]{0,6}", 8),
            home in prop::sample::select(vec![Protocol::Npm, Protocol::Oci, Protocol::Cargo]),
        ) {
            let have = ScopeSet(have);
            let other: InstanceName = "other".parse().unwrap();
            let plain = have.covers(&want);
            let within = have.covers_within(&other, home, &want);
            prop_assert!(!plain || within);
            // The name that a pattern is made of is the likeliest to show a fault.
            let own = want.text.split(':').nth(2).unwrap().replace('*', "b");
            for name in names.iter().chain([&own]) {
                for protocol in [Protocol::Npm, Protocol::Oci, Protocol::Cargo] {
                    for instance in [InstanceName::from(protocol), other.clone()] {
                        for kind in ["package", "repository", "crate", "registry", "thing"] {
                            for action in Action::ALL {
                                let access = Access { protocol, instance: &instance, kind, name, action };
                                if !want.allows(&access) {
                                    continue;
                                }
                                prop_assert!(!plain || have.allows(&access), "{access:?}");
                                if instance != other || protocol == home {
                                    prop_assert!(!within || have.allows(&access), "{access:?}");
                                }
                            }
                        }
                    }
                }
            }
        }

        #[test]
        fn every_scope_covers_itself_and_survives_text(one in scopes()) {
            prop_assert!(ScopeSet(vec![one.clone()]).covers(&one));
            prop_assert!(ScopeSet::everything().covers(&one));
            prop_assert_eq!(one.to_string().parse::<Scope>().unwrap(), one);
        }

        #[test]
        fn any_text_is_refused_or_kept(text in "([a-z*]{0,4}:){0,4}\\PC{0,10}") {
            if let Ok(scope) = text.parse::<Scope>() {
                prop_assert_eq!(scope.as_str(), text);
            }
        }
    }
}

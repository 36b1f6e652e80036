//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use smartregistry::core::{Protocol, upstream::UpstreamId};

use crate::config::{Overrides, Span};

/// A package registry for Cargo, Composer, Maven, npm, OCI, Python and RubyGems clients, kept in a folder or a bucket.
///
/// Without a command it serves. Its configuration is ./smartregistry.toml where that exists; every key of it can be set
/// as SMARTREGISTRY_SECTION__KEY in the environment too. Flags win over the environment, which wins over the file.
#[derive(Debug, Parser)]
#[command(name = "smartregistry", version, args_conflicts_with_subcommands = false, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) serving: Serving,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Which configuration and which store: for every command.
#[derive(Debug, Default, Args)]
pub(crate) struct Place {
    /// The configuration file [default: ./smartregistry.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept: file:PATH, memory:, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX
    /// [default: file:./smartregistry-data]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) storage: Option<String>,
}

/// How it is served: without a command, and for `serve` and `check-config`.
#[derive(Debug, Default, Args)]
pub(crate) struct Serving {
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// The URL under which clients reach the server [default: each request's Host]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Ask no upstream anything: what is kept of them is served, whatever its age
    #[arg(long)]
    pub(crate) offline: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve (the default)
    Serve(Serving),
    /// Make, list and revoke tokens
    #[command(subcommand)]
    Token(Token),
    /// Add, list and remove users
    #[command(subcommand)]
    User(User),
    /// List and show packages; yank, delete and forget versions of them
    ///
    /// REGISTRY is a registry's name: that of its protocol, or the one that the configuration gives it. Works on the
    /// store, past the rules for clients and while a server runs or not, which sees the change at once.
    #[command(subcommand)]
    Package(Package),
    /// Print what clients need to use a registry of this server
    ///
    /// The same as the page at / shows. Nothing is opened or asked: the URL is public_url, or what the server listens on.
    Setup(Setup),
    /// Say where an answer about a name would come from: hosted, upstream, or refused by which rule
    ///
    /// By the configuration as it is read now, so that a rule can be tried (--config) before it is in force. Asks nobody.
    Explain(Explain),
    /// Show and drop what is kept of upstreams
    ///
    /// All of it can be dropped at any time: it is fetched again when it is asked for.
    #[command(subcommand)]
    Cache(Cache),
    /// Remove what nothing refers to any more
    ///
    /// Safe while a server runs on the same store. Data younger than an hour stays, whatever the grace.
    Gc(Gc),
    /// Read everything that is stored and hash it again
    ///
    /// Prints a line for each fault, and then exits 1. Safe while a server runs on the same store.
    Verify,
    /// Check the configuration and say what it comes to
    CheckConfig(Serving),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `token`.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token and print it, alone, on standard output
    ///
    /// It is shown this once: only a hash of it is stored. The user need not exist.
    Create(CreateToken),
    /// List tokens: id, user, scopes, created, expires, last used, state
    List {
        /// Only this user's
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token by its id
    Revoke {
        /// The id, as `token list` shows it
        id: String,
    },
}

/// `token create`.
#[derive(Debug, Args)]
pub(crate) struct CreateToken {
    /// Whom it belongs to
    #[arg(long, value_name = "NAME")]
    pub(crate) user: String,
    /// What it allows, PROTOCOL:TYPE:NAME:ACTIONS as in npm:package:@acme/*:read or *:*:*:*; repeat for more
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    pub(crate) scopes: Vec<String>,
    /// When it ends, from now: a number with s, m, h or d [default: never]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub(crate) expires: Option<Span>,
    /// For reading only, whatever its scopes say
    #[arg(long)]
    pub(crate) read_only: bool,
    /// A name that tells people what it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
}

/// `user`.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user
    Add {
        /// The user's name
        name: String,
        /// Read the password from standard input, up to its first line break
        #[arg(long, required = true)]
        password_stdin: bool,
        /// What the user may do, PROTOCOL:TYPE:NAME:ACTIONS; repeat for more
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// The user's e-mail address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// List users: name, scopes, created
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a user and revoke their tokens
    Remove {
        /// The user's name
        name: String,
    },
}

/// `package`.
#[derive(Debug, Subcommand)]
pub(crate) enum Package {
    /// List packages: registry, name, latest version, time of the last change
    ///
    /// As lists and searches know them: a change shows within five seconds. Packages of which everything was deleted are
    /// not listed, though `package show` knows them.
    List {
        /// Only this registry's
        #[arg(value_name = "REGISTRY")]
        registry: Option<String>,
        /// Only those of registries of this protocol
        #[arg(long, value_name = "PROTOCOL", conflicts_with = "registry")]
        protocol: Option<Protocol>,
        /// Only those whose names begin so
        #[arg(long, value_name = "TEXT", default_value = "")]
        prefix: String,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show a package with its versions, deleted ones included
    Show {
        #[command(flatten)]
        package: PackageName,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Yank a version: it can still be had, but is not taken unasked
    ///
    /// For Cargo, Python and Ruby; the others have nothing like it.
    Yank {
        #[command(flatten)]
        package: PackageName,
        /// The version
        version: String,
        /// Take the yank back
        #[arg(long, conflicts_with = "reason")]
        undo: bool,
        /// Why, where the protocol can tell its clients
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Delete a version, or a package with all its versions
    ///
    /// Numbers and names stay used, so that nobody can publish something else under them (see `package forget`). Of OCI
    /// a version is a tag, whose manifest stays, or a digest, whose tags go too.
    Delete {
        #[command(flatten)]
        package: PackageName,
        /// The version [default: all, and with them the package]
        version: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Forget a deleted version, or a package of which everything was deleted
    ///
    /// The number, or the name, can then be published again as if it had never been used, with other content: clients
    /// that remember the old one will complain. Refused while something would be lost that can still be had.
    Forget {
        #[command(flatten)]
        package: PackageName,
        /// The deleted version [default: the package]
        version: Option<String>,
    },
}

/// Which package.
#[derive(Debug, Args)]
pub(crate) struct PackageName {
    /// The registry's name; that of its protocol where the configuration gives no other
    pub(crate) registry: String,
    /// The package's name as its clients write it
    pub(crate) name: String,
}

/// `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The registry's name; that of its protocol where the configuration gives no other
    pub(crate) registry: String,
    /// The package's name
    pub(crate) name: String,
}

/// `cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Say how much is kept of each upstream
    Stats {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Drop what is kept: all of a registry, or only that of a name or of an upstream
    ///
    /// What was published here is not touched. A version that must not be had any more is denied in the configuration first
    /// (deny), or it is fetched again.
    Purge {
        /// The registry's name; that of its protocol where the configuration gives no other
        registry: String,
        /// A package's name [default: all]
        name: Option<String>,
        /// Only of this upstream
        #[arg(long, value_name = "ID")]
        upstream: Option<UpstreamId>,
    },
}

/// `setup`.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// A registry's name, or a protocol [default: all registries]
    pub(crate) registry: Option<String>,
    #[command(flatten)]
    pub(crate) serving: Serving,
}

/// `gc`.
#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long something stays after it was deleted or lost its last reference: a number with s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = grace)]
    pub(crate) grace: Span,
}

fn lifetime(text: &str) -> Result<Span, String> {
    let span = grace(text)?;
    if span.0.is_zero() { Err("a token that ends at once is of no use".to_owned()) } else { Ok(span) }
}

fn grace(text: &str) -> Result<Span, String> {
    // A bare number could mean anything on a command line.
    if !text.ends_with(['s', 'm', 'h', 'd']) || text.ends_with("ms") {
        return Err("write a number with s, m, h or d, such as 30d".to_owned());
    }
    text.parse::<Span>().map_err(|e| e.to_string())
}

impl Cli {
    /// What the flags say about the configuration, those after the command winning over those before it.
    pub(crate) fn overrides(&self) -> Overrides {
        let after = match &self.command {
            Some(
                Command::Serve(serving)
                | Command::CheckConfig(serving)
                | Command::Setup(Setup { serving, .. }),
            ) => Some(serving),
            _ => None,
        };
        let pick = |of: fn(&Serving) -> &Option<String>| {
            after.and_then(|s| of(s).clone()).or_else(|| of(&self.serving).clone())
        };
        Overrides {
            file: self.place.config.clone(),
            storage: self.place.storage.clone(),
            listen: pick(|s| &s.listen),
            public_url: pick(|s| &s.public_url),
            offline: self.serving.offline || after.is_some_and(|serving| serving.offline),
        }
    }

    /// The flag for serving that was given with a command which does not serve.
    pub(crate) fn misplaced(&self) -> Option<&'static str> {
        if matches!(
            self.command,
            None | Some(Command::Serve(_) | Command::CheckConfig(_) | Command::Setup(_))
        ) {
            return None;
        }
        let listen = self.serving.listen.as_ref().map(|_| "--listen");
        let url = self.serving.public_url.as_ref().map(|_| "--public-url");
        listen.or(url).or(self.serving.offline.then_some("--offline"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("smartregistry").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_before_and_after_the_command() {
        for line in [
            "--listen 1.2.3.4:5 --storage memory:",
            "serve --listen 1.2.3.4:5 --storage memory:",
            "--listen 1.2.3.4:5 serve --storage memory:",
            "--listen 9.9.9.9:9 --storage memory: serve --listen 1.2.3.4:5",
        ] {
            let overrides = parse(line).unwrap().overrides();
            assert_eq!(overrides.listen.as_deref(), Some("1.2.3.4:5"), "{line}");
            assert_eq!(overrides.storage.as_deref(), Some("memory:"), "{line}");
        }
        let cli = parse("gc --config x.toml --storage file:y --grace 0s").unwrap();
        assert_eq!(cli.overrides().file, Some("x.toml".into()));
        assert!(matches!(cli.command, Some(Command::Gc(gc)) if gc.grace.0.is_zero()));
    }

    #[test]
    fn flags_for_serving_do_not_go_with_other_commands() {
        assert_eq!(parse("--listen 1.2.3.4:5 gc").unwrap().misplaced(), Some("--listen"));
        assert_eq!(parse("--public-url http://x check-config").unwrap().misplaced(), None);
        let setup = parse("--listen 1.2.3.4:5 setup npm --public-url http://x").unwrap();
        assert_eq!((setup.misplaced(), setup.overrides().public_url.as_deref()), (None, Some("http://x")));
        assert_eq!(parse("--listen 1.2.3.4:5").unwrap().misplaced(), None);
        assert!(parse("gc --listen 1.2.3.4:5").is_err());
    }

    #[test]
    fn wrong_usage_exits_2() {
        for line in [
            "frobnicate",
            "token create --user a",
            "token create --scope *:*:*:*",
            "token create --user a --scope *:*:*:* --expires 30",
            "token create --user a --scope *:*:*:* --expires 0d",
            "token revoke",
            "user add a",
            "gc --grace soon",
            "gc --grace 5ms",
            "completions nosuchshell",
            "package list npm --protocol npm",
            "package list --protocol cobol",
            "package show npm",
            "package yank cargo a",
            "package yank pypi a 1.0 --undo --reason x",
            "package delete",
            "setup npm pypi",
            "--nosuchflag",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("--help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn every_flag_and_command_is_explained() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path}");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{path} {}", arg.get_id());
            }
            command.get_subcommands().for_each(|c| check(c, &path));
        }
        check(&Cli::command(), "");
    }
}

//! What only the stored provider does: nodes that share a store, collecting, the first start.

use super::*;

#[tokio::test]
async fn ended_tokens_are_collected_after_the_grace() {
    let clock = Arc::new(ManualClock::new(start()));
    let storage = Storage::memory(StorageOptions::default());
    let auth = StoredAuthProvider::new(&storage, options(&clock)).unwrap();
    let mint = |expires: Option<i64>| {
        let mut mint = MintToken::new("ci");
        mint.scopes = Some(ScopeSet::everything());
        mint.expires = expires.map(|seconds| start() + chrono::Duration::seconds(seconds));
        mint
    };
    let _stays = auth.mint_token(mint(None)).await.unwrap();
    let _later = auth.mint_token(mint(Some(5000))).await.unwrap();
    let _expires = auth.mint_token(mint(Some(10))).await.unwrap();
    let revoked = auth.mint_token(mint(None)).await.unwrap();
    auth.revoke_token(&revoked.record.id).await.unwrap();
    let all = TokenFilter { user: None, include_ended: true };
    for (at, dry_run, removed, left) in
        [(100, false, 0, 4), (3610, true, 2, 4), (3610, false, 2, 2), (3610, false, 0, 2)]
    {
        let run = GcRun::new(start() + chrono::Duration::seconds(at), Duration::from_hours(1), dry_run);
        auth.collect_garbage(&run).await.unwrap();
        assert_eq!(run.report.removed_count().0, removed, "at {at}");
        assert_eq!(auth.tokens(&all).await.unwrap().len(), left, "at {at}");
    }
    invalid(
        auth.authenticate(&AuthRequest::new(&instance("npm"), Some(&bearer(&revoked.secret)), None)).await,
    );
}

#[tokio::test]
async fn nodes_share_users_tokens_and_the_key() {
    let clock = Arc::new(ManualClock::new(start()));
    let storage = Storage::memory(StorageOptions::default());
    let node = || StoredAuthProvider::new(&storage, options(&clock)).unwrap();
    let (a, b) = (node(), node());
    let npm = instance("npm");
    let mut mint = MintToken::new("ci");
    mint.scopes = Some(ScopeSet::everything());
    let minted = a.mint_token(mint).await.unwrap();
    let credentials = bearer(&minted.secret);
    let request = AuthRequest::new(&npm, Some(&credentials), None);
    b.authenticate(&request).await.unwrap();
    a.revoke_token(&minted.record.id).await.unwrap();
    invalid(a.authenticate(&request).await);
    clock.advance(Duration::from_millis(2001));
    invalid(b.authenticate(&request).await);

    let signed = a.sign(&claims("", None)).await.unwrap();
    b.verify(&signed, "registry.example.com").await.unwrap();
}

#[tokio::test]
async fn last_use_reaches_the_store() {
    let clock = Arc::new(ManualClock::new(start()));
    let storage = Storage::memory(StorageOptions::default());
    let auth = StoredAuthProvider::new(&storage, options(&clock)).unwrap();
    let mut mint = MintToken::new("ci");
    mint.scopes = Some(ScopeSet::everything());
    let minted = auth.mint_token(mint).await.unwrap();
    let credentials = bearer(&minted.secret);
    auth.authenticate(&AuthRequest::new(&instance("npm"), Some(&credentials), None)).await.unwrap();
    auth.shutdown().await;
    let later = StoredAuthProvider::new(&storage, options(&clock)).unwrap();
    assert_eq!(later.tokens(&TokenFilter::default()).await.unwrap()[0].last_used, Some(start()));
}

#[tokio::test]
async fn the_first_start_makes_one_token_for_the_administrator() {
    let clock = Arc::new(ManualClock::new(start()));
    let storage = Storage::memory(StorageOptions::default());
    let node = || StoredAuthProvider::new(&storage, options(&clock)).unwrap();
    let minted = node().ensure_admin_token().await.unwrap().unwrap();
    let actor = node()
        .authenticate(&AuthRequest::new(&instance("npm"), Some(&bearer(&minted.secret)), None))
        .await
        .unwrap();
    assert_eq!(actor.name(), "admin");
    assert!(actor.scopes.unwrap().covers(&Scope::everything()));
    assert!(node().ensure_admin_token().await.unwrap().is_none());
    // Also when it was revoked since.
    node().revoke_token(&minted.record.id).await.unwrap();
    assert!(node().ensure_admin_token().await.unwrap().is_none());

    let storage = Storage::memory(StorageOptions::default());
    let mut given = options(&clock);
    given.admin_token = Some("given by the environment".into());
    let auth = StoredAuthProvider::new(&storage, given).unwrap();
    assert!(auth.ensure_admin_token().await.unwrap().is_none());

    let in_use = StoredAuthProvider::new(&storage, options(&clock)).unwrap();
    let mut mint = MintToken::new("ci");
    mint.scopes = Some(ScopeSet::everything());
    in_use.mint_token(mint).await.unwrap();
    assert!(in_use.ensure_admin_token().await.unwrap().is_none());
}

#[tokio::test]
async fn users_and_tokens_with_less_than_all_rights_are_no_administrator() {
    let clock = Arc::new(ManualClock::new(start()));
    let all = || Some(ScopeSet::everything());
    let some = || Some(ScopeSet::parse(["npm:*:*:*", "*:*:*:read"]).unwrap());
    let token = |change: &dyn Fn(&mut MintToken)| {
        let mut mint = MintToken::new("ci");
        change(&mut mint);
        mint
    };
    let user = |scopes| NewUser {
        name: "alice".to_owned(),
        password: Some("a long password".into()),
        email: None,
        scopes,
    };
    for (first, user, mint) in [
        (true, Some(user(some())), None),
        (true, Some(user(None)), None),
        (false, Some(user(all())), None),
        (true, None, Some(token(&|mint| mint.scopes = some()))),
        (false, None, Some(token(&|mint| mint.scopes = all()))),
        (true, None, Some(token(&|mint| (mint.scopes, mint.read_only) = (all(), true)))),
    ] {
        let auth =
            StoredAuthProvider::new(&Storage::memory(StorageOptions::default()), options(&clock)).unwrap();
        let case = format!("{user:?} {mint:?}");
        if let Some(user) = user {
            auth.create_user(user).await.unwrap();
        }
        if let Some(mint) = mint {
            auth.mint_token(mint).await.unwrap();
        }
        assert_eq!(auth.ensure_admin_token().await.unwrap().is_some(), first, "{case}");
        assert!(auth.ensure_admin_token().await.unwrap().is_none(), "once, whatever came of it: {case}");
    }
    // One that ended is none.
    let auth = StoredAuthProvider::new(&Storage::memory(StorageOptions::default()), options(&clock)).unwrap();
    let mint = token(&|mint| {
        mint.scopes = all();
        mint.expires = Some(start() + chrono::TimeDelta::hours(1));
    });
    auth.mint_token(mint).await.unwrap();
    clock.advance(Duration::from_hours(2));
    assert!(auth.ensure_admin_token().await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_secret_is_stored_or_shown() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(start()));
    for bench in both(|options| options.admin_token = Some("very secret administration".into())) {
        let minted = bench.token("ci", &["npm:package:*:read"]).await;
        bench.user("bob", "very secret password", &[]).await;
        let shown = format!("{:?} {:?} {minted:?}", bench.auth, bench.stored);
        for secret in ["very secret", minted.secret.expose_secret()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let storage =
        Storage::folder(folder.path(), ProcessRole::Server, StorageOptions::default()).await.unwrap();
    let auth = StoredAuthProvider::new(&storage, options(&clock)).unwrap();
    let minted = auth.ensure_admin_token().await.unwrap().unwrap();
    let user = NewUser {
        name: "bob".to_owned(),
        password: Some("very secret password".into()),
        email: None,
        scopes: None,
    };
    auth.create_user(user).await.unwrap();
    storage.drained().await;
    let mut files = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for secret in ["very secret", minted.secret.expose_secret()] {
                assert!(!text.contains(secret), "{path:?}");
            }
        }
    }
    assert!(files >= 3, "{files}");
}

//! Many at once, and on several servers.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use registry_core::PackageRegistry as _;

use crate::app::{Build, Client, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn checklist_41_one_of_many_pushes_of_a_version_wins() {
    let app = Arc::new(Setup::new().build());
    let apps = [Arc::clone(&app), Arc::new(app.sibling())];
    let pushes = (0..20).map(|n| {
        let app = Arc::clone(&apps[n % 2]);
        // Half of them have the same bytes.
        let gem = Build::new("a", "1.0").content(&format!("{}", if n < 10 { 0 } else { n }));
        tokio::spawn(async move { app.post(gem.bytes(), "alice-token").await })
    });
    let replies: Vec<_> = join_all(pushes).await.into_iter().map(Result::unwrap).collect();
    let count = |words: &str| replies.iter().filter(|reply| reply.text().starts_with(words)).count();
    assert_eq!(count("Successfully registered"), 1);
    assert_eq!(count("Successfully registered") + count("Gem was already pushed") + count("Repushing"), 20);
    assert_eq!(app.text("/versions").await.matches("\na 1.0 ").count(), 1);
    app.check_index().await;
    let files = app.objects().await.into_iter().filter(|(key, ..)| key.contains("/-/a-1.0.gem~")).count();
    assert_eq!(files, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn checklist_42_no_line_is_lost_on_two_servers() {
    let app = Arc::new(Setup::new().build());
    let apps = [Arc::clone(&app), Arc::new(app.sibling())];
    let pushes = (0..60).map(|n| {
        let app = Arc::clone(&apps[n % 2]);
        // Different gems, versions of one gem, and yanks between them.
        let gem = if n % 3 == 0 {
            Build::new("many", &format!("1.{n}"))
        } else {
            Build::new(&format!("gem{n}"), "1.0")
        };
        tokio::spawn(async move {
            app.post(gem.bytes(), "alice-token").await.expect(200);
            if n % 6 == 0 {
                app.yank(&gem.name, &gem.version, "alice-token").await.expect(200);
            }
        })
    });
    for done in join_all(pushes).await {
        done.unwrap();
    }
    for app in &apps {
        app.check_index().await;
        let versions = app.text("/versions").await;
        for n in 0..60 {
            let line = if n % 3 == 0 { format!("1.{n}") } else { format!("\ngem{n} 1.0 ") };
            assert!(versions.contains(&line), "{n}");
        }
        let info = app.text("/info/many").await;
        assert_eq!(info.lines().count(), 1 + 10, "{info}");
    }
    assert_eq!(apps[0].text("/versions").await, apps[1].text("/versions").await);
    assert_eq!(apps[0].get("/specs.4.8.gz").await.body, apps[1].get("/specs.4.8.gz").await.body);
    let left = app.objects().await.into_iter().filter(|(key, ..)| key.contains("/pending/")).count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn checklist_43_a_client_that_goes_away_leaves_a_whole_push_or_none() {
    let app = Arc::new(Setup::new().build());
    for polls in 0..40 {
        let name = format!("gem{polls}");
        let work = {
            let (app, gem) = (Arc::clone(&app), Build::new(&name, "1.0"));
            async move { app.post(gem.bytes(), "alice-token").await }
        };
        // The request is given up after so many steps.
        let mut work = Box::pin(work);
        for _ in 0..polls {
            if futures_util::poll!(&mut work).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(work);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    app.registry.shutdown().await;
    app.services.storage.drained().await;
    app.check_index().await;
    let left = app.objects().await.into_iter().filter(|(key, ..)| key.contains("/pending/")).count();
    assert_eq!(left, 0);
    let files = app.objects().await.into_iter().filter(|(key, ..)| key.contains(".gem~")).count();
    let versions = app.text("/versions").await.lines().skip(2).count();
    assert_eq!(files, versions);
}

//! All registries inside somebody's own axum application, beside its own routes.
//!
//! `cargo run --example axum`, then `curl http://127.0.0.1:3000/hello` and `curl http://127.0.0.1:3000/npm/-/ping`. Another
//! address can be given: `cargo run --example axum -- 127.0.0.1:0`.

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use axum::{Router, routing::get};
use smartregistry::SmartRegistry;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = SmartRegistry::builder().in_memory().build().await?;

    // The registry takes every path that is none of the application's own. It sees the whole path, so that the URLs in
    // its answers are right; that is why it is a fallback and not nested under a prefix.
    let app = Router::new().route("/hello", get(|| async { "hello" })).fallback_service(registry.clone());

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            // Without a way to hear of Ctrl-C the application ends when it is killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    registry.shutdown().await;
    Ok(())
}

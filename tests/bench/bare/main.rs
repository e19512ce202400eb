//! The least a function with storage can be: what the binaries' init is measured against.
use aws_sdk_dynamodb::Client;
use lambda_http::{Body, Error, Request, Response, run, service_fn, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_from_env().await;
    #[expect(clippy::disallowed_methods, reason = "it has no part in the service")]
    let client = Client::new(&config);
    let client = &client;
    run(service_fn(move |_: Request| async move {
        let tables = client.list_tables().send().await?;
        let answer = Response::builder().body(Body::from(format!("{:?}", tables.table_names())));
        Ok::<_, Error>(answer?)
    }))
    .await
}

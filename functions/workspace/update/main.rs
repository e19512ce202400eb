//! Entry of the Lambda behind `workspace-update`.
use functions::{
    serve,
    workspace::update::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}

//! Entry of the Lambda behind `auth-approval`.
use functions::{
    auth::approval::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::open(&ROUTE, handle).await
}

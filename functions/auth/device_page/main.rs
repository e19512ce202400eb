//! Entry of the Lambda behind `auth-device-page`.
use functions::{
    auth::device_page::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::open(&ROUTE, handle).await
}

//! The notes service as the documentation of axum and sqlx would have it: a pool; sqlx prepares what it is asked and keeps it.
use axum::{
    extract::{DefaultBodyLimit, Query, State},
    http::{header, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
    Json, Router,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::MySqlPool;
use std::env::var;

fn as_text<S: Serializer>(t: &DateTime<Utc>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&t.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[derive(Serialize, sqlx::FromRow)]
struct Note {
    id: u64,
    text: String,
    #[serde(serialize_with = "as_text")]
    created_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Page {
    notes: Vec<Note>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Wanted {
    limit: Option<u32>,
    before: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    text: String,
}

fn unavailable(e: sqlx::Error) -> Response {
    eprintln!("{e}");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

async fn list(State(pool): State<MySqlPool>, Query(wanted): Query<Wanted>) -> Response {
    let limit = wanted.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let rows = sqlx::query_as::<_, Note>("SELECT id, text, created_at FROM notes WHERE id < ? ORDER BY id DESC LIMIT ?")
        .bind(wanted.before.unwrap_or(i64::MAX))
        .bind(limit + 1)
        .fetch_all(&pool)
        .await;
    match rows {
        Err(e) => unavailable(e),
        Ok(mut notes) => {
            let more = notes.len() > limit as usize;
            notes.truncate(limit as usize);
            let next = if more { notes.last().map(|n| n.id) } else { None };
            Json(Page { notes, next }).into_response()
        }
    }
}

async fn add(State(pool): State<MySqlPool>, Json(add): Json<Add>) -> Response {
    if !(1..=4096).contains(&add.text.chars().count()) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let made = sqlx::query_as::<_, (u64, DateTime<Utc>)>("INSERT INTO notes (text) VALUES (?) RETURNING id, created_at")
        .bind(&add.text)
        .fetch_one(&pool)
        .await;
    match made {
        Err(e) => unavailable(e),
        Ok((id, created_at)) => {
            let place = [(header::LOCATION, format!("/api/v1/notes/{id}"))];
            (StatusCode::CREATED, place, Json(Note { id, text: add.text, created_at })).into_response()
        }
    }
}

#[tokio::main]
async fn main() {
    let options = MySqlConnectOptions::new()
        .socket(var("DB_SOCKET").unwrap())
        .username(&var("DB_USER").unwrap())
        .password(&var("DB_PASSWORD").unwrap())
        .database(&var("DB_NAME").unwrap());
    // Without the ping before each use: it is one more round trip for each request.
    let pool = MySqlPoolOptions::new().max_connections(16).test_before_acquire(false).connect_with(options).await.unwrap();
    let app = Router::new()
        .route("/api/v1/notes", get(list).post(add))
        .layer(DefaultBodyLimit::max(64 << 10))
        .with_state(pool);
    let address: std::net::SocketAddr = format!("127.0.0.1:{}", var("PORT").unwrap()).parse().unwrap();
    match var("TLS_CERT") {
        Ok(cert) => {
            let tls = axum_server::tls_rustls::RustlsConfig::from_pem_file(cert, var("TLS_KEY").unwrap()).await.unwrap();
            axum_server::bind_rustls(address, tls).serve(app.into_make_service()).await.unwrap();
        }
        Err(_) => {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            let listener = axum::serve::ListenerExt::tap_io(listener, |s| _ = s.set_nodelay(true));
            axum::serve(listener, app).await.unwrap();
        }
    }
}

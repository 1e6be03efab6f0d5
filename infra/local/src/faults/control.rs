//! The HTTP door through which tests add rules and see what is held.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::engine::{Engine, Release};
use super::rules::{Fired, Held, Rule};

/// `POST /rules`, `DELETE /rules`, `GET /held`, `GET /fired`, `POST /held/{id}/release`, `POST /held/{id}/drop`.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/rules", post(add).delete(clear))
        .route("/held", get(held))
        .route("/fired", get(fired))
        .route("/held/{id}/{how}", post(end))
        .with_state(engine)
}

async fn add(State(engine): State<Engine>, Json(rule): Json<Rule>) -> StatusCode {
    engine.add(rule);
    StatusCode::NO_CONTENT
}

async fn clear(State(engine): State<Engine>) -> StatusCode {
    engine.clear();
    StatusCode::NO_CONTENT
}

async fn held(State(engine): State<Engine>) -> Json<Vec<Held>> {
    Json(engine.held())
}

async fn fired(State(engine): State<Engine>) -> Json<Vec<Fired>> {
    Json(engine.fired())
}

async fn end(State(engine): State<Engine>, Path((id, how)): Path<(u64, String)>) -> StatusCode {
    let how = match how.as_str() {
        "release" => Release::Continue,
        "drop" => Release::Drop,
        _ => return StatusCode::NOT_FOUND,
    };
    if engine.end(id, how) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

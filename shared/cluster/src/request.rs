//! What kube's own requests have no place for.

/// Has the API server refuse fields that it does not know, rather than drop them: kube's parameters of a creation have
/// no place for it.
pub(crate) fn strict(request: http::Request<Vec<u8>>) -> kube::Result<http::Request<Vec<u8>>> {
    let (mut parts, body) = request.into_parts();
    let uri = format!("{}&fieldValidation=Strict", parts.uri);
    parts.uri = uri
        .parse()
        .map_err(|error: http::uri::InvalidUri| kube::Error::HttpError(error.into()))?;
    Ok(http::Request::from_parts(parts, body))
}

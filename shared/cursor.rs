//! Cursors: opaque, signed, bound to workspace, route and filters.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    error::{Error, Result},
    tenant::Tenant,
};

/// Bytes of the HMAC that a cursor carries.
const SIGNATURE: usize = 16;

/// What a cursor is good for.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Whose list.
    pub tenant: &'a Tenant,
    /// Which route.
    pub route: &'a str,
    /// With which filters.
    pub filters: &'a str,
}

/// The cursor that continues after `position`.
pub fn sign(key: &[u8], scope: &Scope<'_>, position: &str) -> String {
    let mut bytes = signature(key, scope, position);
    bytes.extend(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in a cursor; 400 when it was tampered with, cut, or made for another list.
pub fn open(key: &[u8], scope: &Scope<'_>, cursor: &str) -> Result<String> {
    let refused = || {
        Error::invalid(
            "cursor",
            "The cursor is not one of this list. Use next_cursor as it came, with the same filters, or leave it out.",
        )
    };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    if bytes.len() <= SIGNATURE {
        return Err(refused());
    }
    let (claimed, position) = bytes.split_at(SIGNATURE);
    let position = std::str::from_utf8(position).map_err(|_| refused())?;
    let genuine = subtle::ConstantTimeEq::ct_eq(signature(key, scope, position).as_slice(), claimed);
    if bool::from(genuine) { Ok(position.to_owned()) } else { Err(refused()) }
}

fn signature(key: &[u8], scope: &Scope<'_>, position: &str) -> Vec<u8> {
    let workspace = scope.tenant.workspace().to_string();
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    for part in [workspace.as_str(), scope.route, scope.filters, position] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes()[..SIGNATURE].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::WorkspaceId;

    fn scope<'a>(tenant: &'a Tenant, filters: &'a str) -> Scope<'a> {
        Scope { tenant, route: "GET /v1/runs", filters }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_alone() {
        let (own, other) = (Tenant::of(WorkspaceId::new()), Tenant::of(WorkspaceId::new()));
        let cursor = sign(b"secret", &scope(&own, "status=failed"), "run_1");
        assert_eq!(open(b"secret", &scope(&own, "status=failed"), &cursor).ok().as_deref(), Some("run_1"));
        assert!(open(b"secret", &scope(&own, ""), &cursor).is_err());
        assert!(open(b"secret", &scope(&other, "status=failed"), &cursor).is_err());
        assert!(open(b"another", &scope(&own, "status=failed"), &cursor).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_panic(text in "\\PC{0,80}") {
            let tenant = Tenant::of(WorkspaceId::new());
            prop_assert!(open(b"secret", &scope(&tenant, ""), &text).is_err());
        }
    }
}

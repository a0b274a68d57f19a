//! TLS to upstreams: rustls, verification always on.
//!
//! Configurations are shared process-wide, one per set of roots: resumption lives in the configuration, and a fresh
//! one per connection would never resume. A file of roots that was changed is another set, though its name is the same.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// By what the file holds, where there is one.
type Configs = HashMap<Option<Vec<u8>>, Arc<ClientConfig>>;

static CONFIGS: LazyLock<Mutex<Configs>> = LazyLock::new(Mutex::default);

/// The client configuration that trusts the web's roots and, where given, those of a PEM file.
pub(super) fn config(ca_file: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let read = |path| std::fs::read(path).map_err(|error| format!("ca_file: cannot read {path}: {error}"));
    let held = ca_file.map(read).transpose()?;
    let mut configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = configs.get(&held) {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let (Some(path), Some(held)) = (ca_file, &held) {
        for certificate in CertificateDer::pem_slice_iter(held) {
            let certificate = certificate.map_err(|error| format!("ca_file: {path} is no PEM file: {error}"))?;
            roots.add(certificate).map_err(|error| format!("ca_file: {path}: {error}"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    configs.insert(held, config.clone());
    Ok(config)
}

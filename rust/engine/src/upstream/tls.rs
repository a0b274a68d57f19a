//! TLS to upstreams: rustls, verification always on.
//!
//! Configurations are shared process-wide, one per set of roots: resumption lives in the configuration, and a fresh
//! one per connection would never resume.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

static CONFIGS: LazyLock<Mutex<HashMap<Option<PathBuf>, Arc<ClientConfig>>>> = LazyLock::new(Mutex::default);

/// The client configuration that trusts the web's roots and, where given, those of a PEM file.
pub(super) fn config(ca_file: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let key = ca_file.map(PathBuf::from);
    let mut configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = configs.get(&key) {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &key {
        let certificates = CertificateDer::pem_file_iter(path)
            .map_err(|error| format!("ca_file: cannot read {}: {error}", path.display()))?;
        for certificate in certificates {
            let certificate =
                certificate.map_err(|error| format!("ca_file: {} is no PEM file: {error}", path.display()))?;
            roots.add(certificate).map_err(|error| format!("ca_file: {}: {error}", path.display()))?;
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
    configs.insert(key, config.clone());
    Ok(config)
}

//! `plugin keygen` and `plugin sign`: who vouches for a version.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::signature::{SecretKey, Statement};
use serde_json::json;

use super::admitting::{admit, sandbox};
use super::check::refuse;
use super::push::{plain, waiting};
use super::{name_and_version, path_of};
use crate::arguments::{KeygenOptions, SignOptions};
use crate::client::Client;
use crate::output::{self, Usage};

/// Makes a key; never in place of another.
pub(super) fn keygen(options: &KeygenOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let key = SecretKey::new(&rand::random());
    let shown = options.file.display();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&options.file)
        .with_context(|| format!("cannot make {shown}"))?;
    writeln!(file, "{}", key.write()).with_context(|| format!("cannot write {shown}"))?;
    if as_json {
        output::json(&json!({ "publicKey": key.public() }))?;
    } else {
        output::line(key.public())?;
        output::note("name it in the policy, under plugins.signatures.keys:");
        let entry = json!({ "id": "ID", "publicKey": key.public() });
        output::note(&format!("  {entry}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Signs a version on the server; prints the signature of a file.
pub(super) async fn sign(
    options: SignOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let key = read_key(&options.key)?;
    if Path::new(&options.plugin).is_file() {
        return sign_file(&options, &key, as_json).await;
    }
    let (name, version) = name_and_version(&options.plugin)?;
    let Some(key_id) = &options.key_id else {
        return Err(Usage("say what the policy calls the key: --key-id ID".to_owned()).into());
    };
    let path = path_of(name, version);
    let plugin = client.get(&path).await?;
    let digest = plain(&plugin["digest"]);
    let signature = BASE64_STANDARD.encode(key.sign(Statement { name, version, digest: &digest }));
    let body = json!({ "keyId": key_id, "signature": signature });
    let signed = client.post(&format!("{path}/signatures"), &body).await?;
    if as_json {
        output::json(&signed)?;
    } else {
        output::line(format!("{} is {}", options.plugin, plain(&signed["status"])))?;
        for sentence in waiting(&signed) {
            output::note(&sentence);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn sign_file(
    options: &SignOptions,
    key: &SecretKey,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let file = Path::new(&options.plugin);
    let local = match admit(&sandbox()?, file, options.manifest.as_deref()).await? {
        Ok(local) => local,
        Err(problems) => return refuse(file, &problems, as_json),
    };
    let (Some(name), Some(version)) = (&local.claims.name, &local.claims.version) else {
        let message = "a signature is over name, version and digest: name both in --manifest FILE";
        return Err(Usage(message.to_owned()).into());
    };
    let digest = &local.admitted.digest;
    let signature = BASE64_STANDARD.encode(key.sign(Statement { name, version, digest }));
    if as_json {
        let about = json!({ "name": name, "version": version, "digest": digest });
        output::json(&json!({ "about": about, "signature": signature }))?;
    } else {
        output::line(signature)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read_key(path: &Path) -> anyhow::Result<SecretKey> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    SecretKey::read(&text).map_err(|error| {
        anyhow!("{}: {error}; make one with `stateflow plugin keygen FILE`", path.display())
    })
}

//! Secrets as guests have them: a text that stands for one, signatures by one, and, where an operator allows it, the
//! secret itself. What may be done with which is the holder's business; a guest without one has none.

use chrono::Utc;
use secrets::{Holder, SignError, sigv4::SigV4Request};
use serde_json::Value;

use crate::{
    bindings::step::stateflow::plugin::{
        revealing, secrets as placeholders,
        signing::{self, AwsRequest},
    },
    guest::Guest,
    host_calls::Import,
};

impl Guest {
    /// What the attempt's holder gives; both kinds of "no" are texts for the guest.
    fn ask<T>(&self, what: impl FnOnce(&Holder) -> Result<T, SignError>) -> Result<T, String> {
        let holder = self.outbound.held().ok_or_else(|| "no secret was granted".to_owned())?;
        what(holder).map_err(|error| error.to_string())
    }
}

impl placeholders::Host for Guest {
    async fn placeholder(&mut self, name: String) -> wasmtime::Result<Result<String, String>> {
        self.calls.count(Import::Secrets);
        Ok(self.ask(|holder| holder.placeholder(&name)))
    }
}

impl signing::Host for Guest {
    async fn hmac_sha256(
        &mut self,
        name: String,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        self.calls.count(Import::Signing);
        Ok(self.ask(|holder| holder.hmac_sha256(&name, &data).map(|mac| mac.to_vec())))
    }

    async fn jwt(
        &mut self,
        name: String,
        algorithm: String,
        claims: String,
    ) -> wasmtime::Result<Result<String, String>> {
        self.calls.count(Import::Signing);
        let algorithm = match algorithm.parse() {
            Ok(algorithm) => algorithm,
            Err(message) => return Ok(Err(message)),
        };
        let claims: Value = match serde_json::from_str(&claims) {
            Ok(claims) => claims,
            Err(error) => return Ok(Err(format!("the claims are not JSON: {error}"))),
        };
        Ok(self.ask(|holder| holder.jwt(&name, algorithm, &claims, None)))
    }

    async fn aws_sigv4(
        &mut self,
        name: String,
        request: AwsRequest,
    ) -> wasmtime::Result<Result<Vec<(String, String)>, String>> {
        self.calls.count(Import::Signing);
        let asked = SigV4Request {
            access_key_id: &request.access_key_id,
            session_token: None,
            region: &request.region,
            service: &request.service,
            method: &request.method,
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
        };
        let signed = self.ask(|holder| holder.aws_sigv4(&name, &asked, Utc::now()));
        let owned = |headers: Vec<(&'static str, String)>| {
            headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        Ok(signed.map(owned))
    }
}

impl revealing::Host for Guest {
    async fn reveal(&mut self, name: String) -> wasmtime::Result<Result<String, String>> {
        self.calls.count(Import::Revealing);
        let value = self.ask(|holder| holder.reveal(&name).map(|value| value.expose().to_owned()));
        if value.is_ok()
            && let Some(reveals) = self.reveals.clone()
            && let Err(refusal) = reveals.record(name).await
        {
            return Ok(Err(refusal));
        }
        Ok(value)
    }
}

//! Vectors of SCRAM exchanges: both sides are played, and every message compared.

use kafka_proto::sasl::{
    Mechanism as _, SaslError, Scram, ScramClientFirst, ScramCredential, ScramHash, Step,
};
use serde_json::Value;

use super::{Check, Outcome, expect, hex, number};

/// What a vector changes in the server's words, so that the client refuses them: there our server says something else.
const FALSE_SERVER_FIRST: [&str; 2] = ["server-nonce-not-an-extension", "iterations-too-low"];
const FALSE_SERVER_FINAL: [&str; 2] = ["server-signature-wrong", "server-error"];

/// One exchange.
pub(crate) fn check(vector: &Value) -> Check {
    let text = |name: &str| vector[name].as_str();
    let must = |name: &str| text(name).ok_or_else(|| format!("{name} is missing"));
    let case = must("case")?;
    let hash = ScramHash::from_mechanism(must("mechanism")?).ok_or("mechanism: is not SCRAM's")?;
    let (salt, iterations) = (
        hex(vector, "saltHex")?,
        number(vector, "iterations")? as u32,
    );
    let password = must("password")?;

    let keys = hash.keys(password, &salt, iterations);
    for (name, key) in [
        ("saltedPasswordHex", &keys.salted_password),
        ("clientKeyHex", &keys.client_key),
        ("storedKeyHex", &keys.stored_key),
        ("serverKeyHex", &keys.server_key),
    ] {
        if *key != hex(vector, name)? {
            return Err(format!("{name}: is another"));
        }
    }
    let credential =
        ScramCredential::from_salted_password(hash, &keys.salted_password, &salt, iterations);
    if credential != ScramCredential::new(hash, password, &salt, iterations) {
        return Err("the credential of the password and of the salted one differ".to_owned());
    }

    let username = must("username")?;
    let sent = text("passwordTheClientSends").unwrap_or(password);
    let mut client =
        Scram::new(hash, username, sent, must("clientNonce")?).map_err(|e| e.to_string())?;
    if case == "delegation-token" {
        client = client.with_token_auth();
    }
    let message = client.start().map_err(|e| e.to_string())?;
    same("clientFirst", &message, &vector["clientFirst"])?;

    let first = ScramClientFirst::read(hash, &message);
    let Some(server_first) = text("serverFirst") else {
        return refused("the server", first.map(|_| ()), "");
    };
    let first = first.map_err(|e| format!("clientFirst: our server refuses it: {e}"))?;
    expect("username", &first.username().into(), &vector["username"])?;
    if first.is_token_auth() != (case == "delegation-token") {
        return Err("clientFirst: our server takes a password for a token".to_owned());
    }
    let (challenge, exchange) = first
        .challenge(credential, must("serverNoncePart")?)
        .map_err(|e| e.to_string())?;
    if !FALSE_SERVER_FIRST.contains(&case) {
        same("serverFirst", &challenge, &vector["serverFirst"])?;
    }

    let words = text("clientError").unwrap_or_default();
    let step = client.answer(server_first.as_bytes());
    if text("clientFinal").is_none() {
        return refused("the client", step.map(|_| ()), words);
    }
    let Step::Send(message) = step.map_err(|e| format!("serverFirst: {e}"))? else {
        return Err("clientFinal: our client sends nothing".to_owned());
    };
    same("clientFinal", &message, &vector["clientFinal"])?;

    match (exchange.finish(&message), text("serverRefuses")) {
        (Ok(_), Some(why)) => {
            return Err(format!("our server accepts what Kafka's does not: {why}"));
        }
        (Ok(answer), None) if !FALSE_SERVER_FINAL.contains(&case) => {
            same("serverFinal", &answer, &vector["serverFinal"])?;
        }
        (Err(error), None) => return Err(format!("clientFinal: our server refuses it: {error}")),
        _ => {}
    }
    let step = client.answer(must("serverFinal")?.as_bytes());
    if vector["clientAccepts"] == Value::Bool(false) {
        return refused("the client", step.map(|_| ()), words);
    }
    match step {
        Ok(Step::Done) => Ok(Outcome::Passed),
        other => Err(format!("serverFinal: our client says {other:?}")),
    }
}

/// A side that must refuse: that it does, and for Kafka's reason where that is known.
fn refused(who: &str, result: Result<(), SaslError>, words: &str) -> Check {
    let Err(error) = result else {
        return Err(format!("{who} accepts what Kafka's does not: {words}"));
    };
    let is_alike = match &error {
        SaslError::ServerNonce { .. } => words.contains("Invalid server nonce"),
        SaslError::Iterations { .. } => words.contains("Requested iterations"),
        SaslError::ServerSignature { .. } => words.contains("Invalid server signature"),
        SaslError::Refused { reason, .. } => words.ends_with(&format!("error: {reason}")),
        _ => words.is_empty(),
    };
    if is_alike {
        Ok(Outcome::Passed)
    } else {
        Err(format!(
            "{who} refuses with `{error}`, Kafka's with `{words}`"
        ))
    }
}

fn same(what: &str, message: &[u8], wanted: &Value) -> Result<(), String> {
    let message = String::from_utf8_lossy(message).into_owned();
    expect(what, &message.into(), wanted)
}

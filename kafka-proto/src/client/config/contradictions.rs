//! Settings that cannot hold at once: an error with the numbers where both were given, the other's default adjusted where only one was.

use super::{Acks, Config};
use crate::client::error::ConfigError;

/// Checks the configuration as a whole; adjusts defaults that were not set, as Java's client does.
pub(super) fn resolve(config: &mut Config) -> Result<(), ConfigError> {
    config.check_values()?;
    check_lengths(config)?;
    config.compression()?;
    if config.bootstrap_servers.is_empty() {
        return Err(ConfigError::Missing("bootstrap.servers"));
    }
    if let Some(wrong) = config
        .bootstrap_servers
        .iter()
        .find(|server| crate::client::address(server).is_none())
    {
        return Err(ConfigError::Invalid {
            name: "bootstrap.servers",
            value: wrong.clone(),
            expected: "host:port, several with commas".to_owned(),
        });
    }
    resolve_idempotence(config)?;
    resolve_delivery_timeout(config)?;
    let max = |name: &str, max: u64, above: &str, value: u64| {
        if value > max {
            return Err(ConfigError::Contradiction(format!(
                "`{above}` ({value}) must not be larger than `{name}` ({max})"
            )));
        }
        Ok(())
    };
    max(
        "reconnect.backoff.max.ms",
        config.reconnect_backoff_max_ms,
        "reconnect.backoff.ms",
        config.reconnect_backoff_ms,
    )?;
    max(
        "retry.backoff.max.ms",
        config.retry_backoff_max_ms,
        "retry.backoff.ms",
        config.retry_backoff_ms,
    )?;
    max(
        "buffer.memory",
        config.buffer_memory,
        "batch.size",
        config.batch_size as u64,
    )?;
    max(
        "receive.message.max.bytes",
        config.receive_message_max_bytes as u64,
        "fetch.max.bytes",
        u64::from(config.fetch_max_bytes.unsigned_abs()),
    )?;
    if config.heartbeat_interval_ms >= config.session_timeout_ms {
        return Err(ConfigError::Contradiction(format!(
            "`heartbeat.interval.ms` ({}) must be smaller than `session.timeout.ms` ({}), best a third of it",
            config.heartbeat_interval_ms, config.session_timeout_ms
        )));
    }
    if config.fetch_max_wait_ms >= config.request_timeout_ms {
        return Err(ConfigError::Contradiction(format!(
            "`fetch.max.wait.ms` ({}) must be smaller than `request.timeout.ms` ({}), or every idle fetch is a timeout",
            config.fetch_max_wait_ms, config.request_timeout_ms
        )));
    }
    if config.group_instance_id.is_some() && config.group_id.is_none() {
        return Err(ConfigError::Contradiction(
            "`group.instance.id` is set but `group.id` is not".to_owned(),
        ));
    }
    Ok(())
}

/// Texts stand in requests behind a length of 16 bits.
fn check_lengths(config: &Config) -> Result<(), ConfigError> {
    for property in super::PROPERTIES {
        let long = |text: &String| property.kind == "text" && text.len() > i16::MAX as usize;
        if let Some(text) = config.value(property.name).filter(long) {
            return Err(ConfigError::Invalid {
                name: property.name,
                value: text.chars().take(20).chain("…".chars()).collect(),
                expected: format!("at most {} bytes", i16::MAX),
            });
        }
    }
    Ok(())
}

/// Idempotence needs all acknowledgements, retries and at most five requests in flight (KIP-185).
fn resolve_idempotence(config: &mut Config) -> Result<(), ConfigError> {
    let asked = config.is_set("enable.idempotence");
    let against = if config.acks != Acks::All {
        Some(format!("`acks` is {}; it needs all", config.acks))
    } else if config.retries == 0 {
        Some("`retries` is 0; it needs at least 1".to_owned())
    } else if config.max_in_flight_requests_per_connection > 5 {
        Some(format!(
            "`max.in.flight.requests.per.connection` is {}; it needs at most 5",
            config.max_in_flight_requests_per_connection
        ))
    } else {
        None
    };
    match against {
        Some(reason) if asked && config.enable_idempotence => Err(ConfigError::Contradiction(
            format!("`enable.idempotence` is true, but {reason}"),
        )),
        // More than five in flight is an error even if idempotence is only the default: it would be lost unnoticed.
        Some(reason) if config.enable_idempotence && reason.contains("in.flight") => {
            Err(ConfigError::Contradiction(format!(
                "`enable.idempotence` is true by default, but {reason}; set it to false if records may be duplicated and reordered"
            )))
        }
        Some(_) => {
            config.enable_idempotence = false;
            Ok(())
        }
        None => Ok(()),
    }
}

fn resolve_delivery_timeout(config: &mut Config) -> Result<(), ConfigError> {
    let least = config.linger_ms.saturating_add(config.request_timeout_ms);
    if config.delivery_timeout_ms >= least {
        return Ok(());
    }
    if config.is_set("delivery.timeout.ms") {
        return Err(ConfigError::Contradiction(format!(
            "`delivery.timeout.ms` ({}) must be at least `linger.ms` + `request.timeout.ms` ({} + {})",
            config.delivery_timeout_ms, config.linger_ms, config.request_timeout_ms
        )));
    }
    config.delivery_timeout_ms = least;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(properties: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut config = Config::from_properties(properties.iter().copied()).unwrap();
        config.bootstrap_servers = vec!["localhost:9092".to_owned()];
        resolve(&mut config)?;
        Ok(config)
    }

    #[test]
    fn contradictions_are_errors_with_their_numbers() {
        for (properties, numbers) in [
            (
                &[("delivery.timeout.ms", "1000")][..],
                &["1000", "5 + 30000"][..],
            ),
            (
                &[("enable.idempotence", "true"), ("acks", "1")],
                &["acks", "1"],
            ),
            (
                &[("enable.idempotence", "true"), ("retries", "0")],
                &["retries"],
            ),
            (
                &[("max.in.flight.requests.per.connection", "6")],
                &["6", "at most 5"],
            ),
            (&[("heartbeat.interval.ms", "50000")], &["50000", "45000"]),
            (&[("reconnect.backoff.ms", "2000")], &["2000", "1000"]),
            (&[("batch.size", "99999999")], &["99999999", "33554432"]),
            (&[("fetch.max.wait.ms", "40000")], &["40000", "30000"]),
            (&[("group.instance.id", "a")], &["group.id"]),
        ] {
            let text = resolved(properties).unwrap_err().to_string();
            assert!(
                numbers.iter().all(|number| text.contains(number)),
                "{properties:?}: {text}"
            );
        }
    }

    #[test]
    fn settings_of_the_other_group_protocol_are_named() {
        let classic = [
            ("session.timeout.ms", "9000"),
            ("group.remote.assignor", "range"),
        ];
        let resolved = |protocol| {
            let properties = [&[("group.protocol", protocol)], &classic[..]].concat();
            resolved(&properties).unwrap().without_effect()
        };
        assert_eq!(resolved("classic"), ["group.remote.assignor"]);
        assert_eq!(resolved("consumer"), ["session.timeout.ms"]);
    }

    #[test]
    fn a_text_that_no_request_can_carry_is_refused_at_the_start() {
        let long = "x".repeat(40_000);
        for name in ["client.id", "client.rack", "group.id", "group.instance.id"] {
            let text = resolved(&[(name, &long)]).unwrap_err().to_string();
            assert!(text.contains(name) && text.contains("32767"), "{text}");
            assert!(text.len() < 200, "{text}");
        }
    }

    #[test]
    fn weaker_acks_switch_default_idempotence_off() {
        assert!(!resolved(&[("acks", "1")]).unwrap().enable_idempotence);
        assert!(resolved(&[]).unwrap().enable_idempotence);
    }

    #[test]
    fn a_long_request_timeout_lengthens_the_default_delivery_timeout() {
        let config = resolved(&[("request.timeout.ms", "300000")]).unwrap();
        assert_eq!(config.delivery_timeout_ms, 300_005);
    }

    #[test]
    fn bootstrap_servers_need_a_host_and_a_port() {
        for wrong in ["localhost", "localhost:", ":9092", "localhost:99999", "a:b"] {
            let error = Config::new(wrong).validate().unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
        assert!(Config::new("[::1]:9092,b:1").validate().is_ok());
        assert_eq!(
            Config::default().validate().unwrap_err(),
            ConfigError::Missing("bootstrap.servers")
        );
    }
}

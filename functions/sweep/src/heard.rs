//! What calls the sweep: a schedule, or the end of an execution.

use serde_json::Value;
use sluice_domain::ids::ServiceName;

/// What is to be swept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// All services.
    Schedule,
    /// The service whose execution ended.
    Execution(ServiceName),
}

/// Reads the event; whatever is not the end of one of our executions sweeps everything, which is never wrong.
///
/// Shape: Step Functions, "Step Functions Execution Status Change": `detail.input` is the execution's input as text, and
/// may be left out where it is large (`inputDetails.included`).
pub fn heard(event: &Value) -> Heard {
    let input = event.pointer("/detail/input").and_then(Value::as_str);
    let input: Option<Value> = input.and_then(|text| serde_json::from_str(text).ok());
    let service = input.as_ref().and_then(|input| input.get("service")?.as_str());
    match service.and_then(|name| ServiceName::parse(name).ok()) {
        Some(service) => Heard::Execution(service),
        None => Heard::Schedule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_end_of_an_execution_names_its_service() {
        let event = json!({
            "source": "aws.states",
            "detail-type": "Step Functions Execution Status Change",
            "detail": {"status": "ABORTED", "name": "mc-api-42-dev-1", "input": "{\"service\":\"mc-api\",\"environment\":\"dev\"}"}
        });
        let service = ServiceName::parse("mc-api").ok();
        assert_eq!(Some(heard(&event)), service.map(Heard::Execution));
    }

    #[test]
    fn anything_else_sweeps_everything() {
        let odd = [
            json!(null),
            json!({"detail": {"input": "no json"}}),
            json!({"detail": {"input": "{\"service\":\"No Slug\"}"}}),
            json!({"source": "aws.scheduler"}),
        ];
        for event in odd {
            assert_eq!(heard(&event), Heard::Schedule, "{event}");
        }
    }
}

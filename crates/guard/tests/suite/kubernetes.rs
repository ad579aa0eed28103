//! The examples for Kubernetes: valid, confined, and with a configuration that the program accepts.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::packages::{check_config, repository, succeed};
use crate::programs::python;

/// Prints the documents of a YAML file as JSON.
const TO_JSON: &str =
    "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";

/// Validates a file, and returns its documents. Returns `None` if the validator cannot be had.
fn documents(path: &Path) -> Option<Vec<Value>> {
    let validator = python("kubernetes-validate", "1.37.0", "kubernetes-validate")?;
    for version in ["1.33.0", "1.37.0"] {
        let mut validate = Command::new(&validator);
        succeed(validate.args(["--strict", "-k", version]).arg(path));
    }
    let python = validator.with_file_name("python");
    let json = succeed(Command::new(python).args(["-c", TO_JSON]).arg(path));
    Some(serde_json::from_str(&json).unwrap())
}

fn of_kind<'d>(documents: &'d [Value], kind: &str) -> &'d Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap()
}

fn containers(pod: &Value) -> Vec<&Value> {
    let lists = ["initContainers", "containers"].map(|list| pod[list].as_array());
    lists.into_iter().flatten().flatten().collect()
}

/// Asserts what the Pod Security Standard "restricted" requires.
fn assert_restricted(pod: &Value) {
    let context = &pod["securityContext"];
    assert_eq!(context["runAsNonRoot"], true);
    assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
    assert!(pod["hostNetwork"].is_null() && pod["hostPID"].is_null() && pod["hostIPC"].is_null());
    for container in containers(pod) {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{container}");
        assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{container}");
    }
    for volume in pod["volumes"].as_array().unwrap() {
        assert!(volume["configMap"].is_object() || volume["secret"].is_object(), "{volume}");
    }
}

/// Asserts that the guard of this pod can use its configuration, its environment and its ports.
fn assert_usable(pod: &Value, configuration: &str) {
    let guard = *containers(pod).iter().find(|container| container["name"] == "guard").unwrap();
    assert_eq!(guard["args"], serde_json::json!(["--config", "/etc/caracal-guard/guard.toml"]));
    let mounts = guard["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/etc/caracal-guard"));
    let keys = mounts.iter().find(|mount| mount["name"] == "keys").unwrap();
    let keys = keys["mountPath"].as_str().unwrap();

    let folder = TempDir::with_prefix("keys-").unwrap();
    std::fs::write(folder.path().join("redisUrl"), "redis://127.0.0.1:6379").unwrap();
    std::fs::write(folder.path().join("streamsHmacKey"), "5a".repeat(32)).unwrap();
    let settings = guard["env"].as_array().unwrap().iter().map(|setting| {
        let value = setting["value"].as_str().unwrap();
        assert!(value.starts_with(keys), "{value} is in no mounted volume");
        let path = value.replace(keys, folder.path().to_str().unwrap());
        (setting["name"].as_str().unwrap().to_owned(), path)
    });
    check_config(configuration, &settings.collect::<Vec<_>>());

    let listen: toml::Table = configuration.parse().unwrap();
    let listen = listen["listen"].as_table().unwrap();
    let mut addresses: Vec<_> = listen.values().map(|value| value.as_str().unwrap()).collect();
    let ports = guard["ports"].as_array().unwrap();
    let mut open: Vec<_> =
        ports.iter().map(|port| format!("0.0.0.0:{}", port["containerPort"])).collect();
    addresses.sort_unstable();
    open.sort_unstable();
    assert_eq!(addresses, open, "listeners and ports");
    for (probe, path) in [("readinessProbe", "/ready"), ("livenessProbe", "/health")] {
        let get = &guard[probe]["httpGet"];
        assert_eq!((&get["path"], &get["port"]), (&path.into(), &"operations".into()));
    }
}

fn assert_example(path: &str, kind: &str) {
    let Some(documents) = documents(&repository(path)) else { return };
    let pod = &of_kind(&documents, kind)["spec"]["template"];
    let configuration = of_kind(&documents, "ConfigMap")["data"]["guard.toml"].as_str().unwrap();
    assert_restricted(&pod["spec"]);
    assert_usable(&pod["spec"], configuration);
    let labels = &pod["metadata"]["labels"];
    assert_eq!(&of_kind(&documents, "Service")["spec"]["selector"], labels);
    let policy = &of_kind(&documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"];
    assert_eq!(policy, labels);
}

#[test]
fn sidecar_example_is_valid_and_usable() {
    assert_example("packages/kubernetes/sidecar.yaml", "Deployment");
}

#[test]
fn daemonset_example_is_valid_and_usable() {
    assert_example("packages/kubernetes/daemonset.yaml", "DaemonSet");
}

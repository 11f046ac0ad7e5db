"""Which keys of a compose file portway reads, which it ignores, and which it refuses, with the reasons."""

from __future__ import annotations

TOP_LEVEL = ("version", "name", "services", "volumes", "networks", "configs", "secrets", "include")

READ = (
    "image", "build", "dockerfile", "command", "entrypoint", "environment", "env_file", "ports", "expose",
    "links", "depends_on", "healthcheck", "labels", "volumes", "tmpfs", "networks", "network_mode",
    "extra_hosts", "mem_limit", "mem_reservation", "cpus", "cpu_shares", "pids_limit", "deploy", "scale",
    "restart", "stop_signal", "stop_grace_period", "user", "working_dir", "privileged", "cap_add",
    "cap_drop", "read_only", "init", "ulimits", "sysctls", "dns", "hostname", "tty", "shm_size",
    "security_opt", "devices", "group_add", "profiles",
)  # fmt: skip

# What runs the same without them.
IGNORED = {
    "container_name": "container_name is ignored: portway names instances itself (web.1), so that there can be several",
    "logging": "logging is ignored: see what an instance writes with 'portway logs'",
    "log_driver": "log_driver is ignored: see what an instance writes with 'portway logs'",
    "log_opt": "log_opt is ignored: see what an instance writes with 'portway logs'",
    "stdin_open": "stdin_open is ignored: nobody types into a service; use 'portway exec' or 'portway run'",
    "attach": "attach is ignored: 'portway logs' shows what it is asked for",
    "develop": "develop is ignored: portway does not watch files",
    "annotations": "annotations are ignored: use labels",
    "platform": "platform is ignored: the engine's own platform is used",
    "pull_policy": "pull_policy is ignored: an image is pulled when it is absent",
    "domainname": "domainname is ignored",
    "mac_address": "a fixed MAC address is ignored: every instance needs its own",
    "pid": "pid is ignored: an instance has its own processes",
    "ipc": "ipc is ignored: an instance has its own",
    "uts": "uts is ignored: an instance has its own",
    "userns_mode": "userns_mode is ignored: the engine's own is used",
    "cgroup": "cgroup is ignored: the engine's own is used",
    "cgroup_parent": "cgroup_parent is ignored: the engine's own is used",
    "isolation": "isolation is ignored: the engine's own is used",
    "runtime": "runtime is ignored: the engine's own is used",
    "storage_opt": "storage_opt is ignored",
    "blkio_config": "blkio_config is ignored: limit memory, cpus and pids",
    "cpuset": "cpuset is ignored: limit cpus",
    "cpu_count": "cpu_count is ignored: use cpus",
    "cpu_percent": "cpu_percent is ignored: use cpus",
    "cpu_period": "cpu_period is ignored: use cpus",
    "cpu_quota": "cpu_quota is ignored: use cpus",
    "cpu_rt_period": "cpu_rt_period is ignored: use cpus",
    "cpu_rt_runtime": "cpu_rt_runtime is ignored: use cpus",
    "mem_swappiness": "mem_swappiness is ignored: use mem_limit",
    "memswap_limit": "memswap_limit is ignored: use mem_limit",
    "oom_kill_disable": "oom_kill_disable is ignored: an instance above its limit is replaced",
    "oom_score_adj": "oom_score_adj is ignored",
    "device_cgroup_rules": "device_cgroup_rules are ignored: use devices",
    "dns_opt": "dns_opt is ignored: use dns",
    "dns_search": "dns_search is ignored: services reach each other by name",
    "gpus": "gpus are ignored: portway does not reserve devices",
    "net": "net is ignored: use networks",
    "volume_driver": "volume_driver is ignored: portway uses the engine's own volumes",
}

# What would run wrongly without them.
REFUSED = {
    "extends": ("extends is not supported", "Copy the keys of the other service here, or share them with an anchor: <<: *base."),
    "configs": ("configs are not supported", "Mount the file: add ./file:/path:ro to volumes."),
    "secrets": ("secrets are not supported", "Mount the file: add ./file:/run/secrets/name:ro to volumes, or use 'portway env set'."),
    "volumes_from": ("volumes_from is not supported", "Declare a named volume, and list it under volumes of both services."),
    "external_links": ("external_links are not supported", "Join the other container's network: declare it under networks with external: true."),
    "credential_spec": ("credential_spec is not supported", "Remove it; it means something on Windows only."),
    "label_file": ("label_file is not supported", "Write the labels under labels."),
    "post_start": ("post_start is not supported", "Do it in the container's own command."),
    "pre_stop": ("pre_stop is not supported", "Handle stop_signal in the program; portway drains its connections first."),
    "provider": ("a service run by a provider is not supported", "Give it an image or a build."),
    "models": ("models are not supported", "Give the service its address as an environment variable."),
}  # fmt: skip

SERVICE = (*READ, *IGNORED, *REFUSED)

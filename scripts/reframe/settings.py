"""Where the checks run: here, by mpirun, and an example of a cluster. See README's part on several machines."""

site_configuration = {
    "systems": [
        {
            "name": "here",
            "descr": "this machine, by the local scheduler and mpirun",
            "hostnames": [".*"],
            "partitions": [
                {
                    "name": "cpu",
                    "scheduler": "local",
                    "launcher": "mpirun",
                    "environs": ["loopos"],
                    "max_jobs": 1,
                }
            ],
        }
    ],
    "environments": [{"name": "loopos", "target_systems": ["*"]}],
    "logging": [
        {
            "handlers": [{"type": "stream", "name": "stdout", "level": "info", "format": "%(message)s"}],
            "handlers_perflog": [
                {
                    "type": "filelog",
                    "prefix": "%(check_system)s/%(check_partition)s",
                    "level": "info",
                    "format": "%(check_result)s,%(check_#ALL)s",
                    "format_perfvars": "%(check_perf_value)s,%(check_perf_unit)s,",
                    "append": True,
                }
            ],
        }
    ],
}

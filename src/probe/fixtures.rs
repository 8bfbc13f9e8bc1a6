//! Tests on recorded machines: what the probe says about each, and what changes where a limit is set or a source lies.

use super::*;

const CASCADE_LAKE: &str = include_str!("fixtures/cascade_lake_kvm.txt");
const TIGER_LAKE: &str = include_str!("fixtures/tiger_lake.txt");
const TIGER_LAKE_REFUSED: &str = include_str!("fixtures/tiger_lake_refused.txt");
const ALDER_LAKE: &str = include_str!("fixtures/alder_lake.txt");
const ZEN2: &str = include_str!("fixtures/zen2.txt");
const ZEN5: &str = include_str!("fixtures/zen5_kvm.txt");
/// Every recorded machine.
pub(super) const ALL: [&str; 6] = [
    CASCADE_LAKE,
    TIGER_LAKE,
    TIGER_LAKE_REFUSED,
    ALDER_LAKE,
    ZEN2,
    ZEN5,
];

fn machine(recording: &str) -> Machine {
    Machine::read(&parse_recording(recording).unwrap())
}

#[test]
fn names() {
    let name = |recording: &str| {
        let Processor {
            brand,
            family,
            model,
            stepping,
            microarchitecture,
            hypervisor,
            ..
        } = machine(recording).processor;
        let text = |fact: &Fact<String>| fact.value().cloned().unwrap();
        let number = |fact: &Fact<u32>| *fact.value().unwrap();
        let signature = (number(&family), number(&model), number(&stepping));
        (
            text(&brand),
            signature,
            text(&microarchitecture),
            hypervisor.value().cloned().unwrap(),
        )
    };
    let is =
        |recording, brand: &str, signature, microarchitecture: &str, hypervisor: Option<&str>| {
            let wanted = (
                brand.to_string(),
                signature,
                microarchitecture.to_string(),
                hypervisor.map(str::to_string),
            );
            assert_eq!(name(recording), wanted);
        };
    let tiger = "11th Gen Intel(R) Core(TM) i5-1135G7 @ 2.40GHz";
    is(
        CASCADE_LAKE,
        "Intel(R) Xeon(R) Processor @ 2.50GHz",
        (6, 0x55, 7),
        "Cascade Lake",
        Some("KVM"),
    );
    is(TIGER_LAKE, tiger, (6, 0x8C, 1), "Tiger Lake", None);
    is(TIGER_LAKE_REFUSED, tiger, (6, 0x8C, 1), "Tiger Lake", None);
    is(
        ALDER_LAKE,
        "12th Gen Intel(R) Core(TM) i7-12700K",
        (6, 0x97, 2),
        "Alder Lake",
        None,
    );
    is(
        ZEN2,
        "AMD Ryzen 5 3600X 6-Core Processor",
        (0x17, 0x71, 0),
        "Zen 2",
        None,
    );
    is(ZEN5, "AMD EPYC", (0x1A, 0x02, 1), "Zen 5", Some("KVM"));
}

/// Name, KiB, ways and sharers of each instance, and whether both sources agree.
fn caches(recording: &str) -> Vec<(String, u64, u32, String)> {
    let caches = machine(recording).caches.value().cloned().unwrap();
    assert!(
        caches
            .iter()
            .all(|cache| cache.line_bytes == 64 && cache.disagreement.is_none())
    );
    let row = |cache: &Cache| {
        (
            cache.name(),
            cache.bytes >> 10,
            cache.ways.unwrap(),
            format_cpu_list(&cache.shared_by),
        )
    };
    caches.iter().map(row).collect()
}

#[test]
fn caches_by_sysfs_and_cpuid() {
    let row = |name: &str, kib, ways, cpus: &str| (name.to_string(), kib, ways, cpus.to_string());
    let tiger_lake = [
        row("L1d", 48, 12, "0"),
        row("L1i", 32, 8, "0"),
        row("L2", 1280, 20, "0"),
        row("L3", 8192, 8, "0"),
    ];
    assert_eq!(caches(TIGER_LAKE), tiger_lake);
    let both = machine(TIGER_LAKE)
        .caches
        .value()
        .unwrap()
        .iter()
        .all(|cache| cache.source == "sysfs and cpuid");
    assert!(both);
    let cascade_lake = caches(CASCADE_LAKE);
    assert_eq!(
        cascade_lake[4..],
        [
            row("L2", 1024, 16, "0"),
            row("L2", 1024, 16, "1"),
            row("L3", 36608, 11, "0-1")
        ]
    );
    assert_eq!(
        caches(ZEN5)[4..],
        [
            row("L2", 1024, 16, "0"),
            row("L2", 1024, 16, "1"),
            row("L3", 32768, 16, "0-1")
        ]
    );
    let zen2 = caches(ZEN2);
    assert_eq!(zen2.len(), 6 * 3 + 2);
    assert_eq!(
        zen2[18..],
        [
            row("L3", 16384, 16, "0-2,6-8"),
            row("L3", 16384, 16, "3-5,9-11")
        ]
    );
    let alder_lake = caches(ALDER_LAKE);
    assert!(
        alder_lake.contains(&row("L1d", 48, 12, "0-1"))
            && alder_lake.contains(&row("L1d", 32, 8, "16"))
    );
    assert!(
        alder_lake.contains(&row("L2", 2048, 16, "16-19"))
            && alder_lake.contains(&row("L3", 25600, 10, "0-19"))
    );
}

#[test]
fn a_lie_about_a_cache_is_shown() {
    let l3 = |from: &str, to: &str| {
        let machine = machine(&CASCADE_LAKE.replace(from, to));
        machine.cache(3).unwrap().disagreement.clone()
    };
    assert_eq!(l3("|36608K", "|16384K").unwrap(), "cpuid: 35.8 MiB");
    let shared = "cpu0/cache/index3/shared_cpu_list\n|0-1";
    assert_eq!(
        l3(shared, "cpu0/cache/index3/shared_cpu_list\n|0").unwrap(),
        "cpuid: shared by 0-1"
    );
    assert_eq!(
        l3("leaf 00000004 3 04004163 0280003f 0000cfff 00000005\n", "").unwrap(),
        "cpuid: absent"
    );
    assert_eq!(l3("x", "x"), None);
}

#[test]
fn every_avx512_subset_of_tiger_lake() {
    let usable = |recording: &str, group| {
        let features = machine(recording).features;
        let list = features
            .list
            .into_iter()
            .filter(|feature| feature.group == group && feature.os);
        list.map(|feature| feature.name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let subsets = "avx512f avx512dq avx512cd avx512bw avx512vl avx512ifma avx512vbmi avx512_vbmi2 avx512_vnni avx512_bitalg \
                   avx512_vpopcntdq avx512_vp2intersect";
    assert_eq!(usable(TIGER_LAKE, Group::Avx512), subsets);
    assert_eq!(
        usable(CASCADE_LAKE, Group::Avx512),
        "avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni"
    );
    assert_eq!(usable(ALDER_LAKE, Group::Avx), "avx f16c fma avx2 avx_vnni");
    assert_eq!(usable(ZEN2, Group::Avx), "avx f16c fma avx2");
    assert_eq!(usable(ZEN2, Group::Avx512), "");
    assert_eq!(
        usable(TIGER_LAKE, Group::Crypto),
        "aes pclmulqdq gfni sha_ni vaes vpclmulqdq"
    );
}

#[test]
fn what_the_system_refuses_is_not_usable() {
    let refused = machine(TIGER_LAKE_REFUSED);
    for name in ["avx512f", "avx512vl", "avx512_vnni", "avx512_vp2intersect"] {
        assert!(
            refused.features.in_cpu(name) && !refused.features.has(name),
            "{name}"
        );
    }
    assert!(
        refused.features.has("avx2") && refused.features.has("fma") && refused.features.has("vaes")
    );
    assert_eq!(refused.features.xcr0.value(), Some(&7));
    assert_eq!(
        (refused.widest_isa(), machine(TIGER_LAKE).widest_isa()),
        ("avx2", "avx512")
    );
    assert!(refused.headline().contains("AVX-512 refused by the system"));
    let sse_only = machine(&TIGER_LAKE.replace("xcr0 e7", "xcr0 3"));
    assert_eq!(sse_only.widest_isa(), "scalar");
    let no_xsave = machine(&TIGER_LAKE.replace("xcr0 e7\n", ""));
    assert_eq!(no_xsave.widest_isa(), "scalar");
    assert!(
        no_xsave.features.has("sse4_2")
            && no_xsave.features.xcr0.reason().unwrap().contains("OSXSAVE")
    );
}

#[test]
fn amx_needs_both_of_its_states_and_avx10_tells_its_version() {
    let chip = |xcr0: &str| {
        let leaves = "leaf 0 0 24 756e6547 6c65746e 49656e69\nleaf 1 0 c06f2 0 7ffefbff bfebfbff\n\
                      leaf 7 0 1 f3bfbfeb fb417ffe ffdd4432\nleaf 7 1 201c30 0 0 80000\nleaf d 0 602e7 0 0 0\n\
                      leaf 1d 0 1 0 0 0\nleaf 1d 1 4002000 80040 10 0\nleaf 24 0 0 70002 0 0\n";
        machine(&format!("loopos machine 1\ncpu 0\n{leaves}xcr0 {xcr0}\n"))
    };
    let enabled = chip("602e7");
    assert!(
        [
            "amx_tile",
            "amx_int8",
            "amx_bf16",
            "amx_fp16",
            "avx512_fp16",
            "avx10"
        ]
        .iter()
        .all(|name| enabled.features.has(name))
    );
    assert_eq!(enabled.features.tiles.value(), Some(&Some((8, 16, 64))));
    assert_eq!(enabled.features.avx10.value(), Some(&Some((2, 512))));
    let half = chip("202e7");
    assert!(
        half.features.in_cpu("amx_tile")
            && !half.features.has("amx_tile")
            && half.features.has("avx512f")
    );
}

#[test]
fn topology_and_the_order_of_threads() {
    let alder_lake = machine(ALDER_LAKE);
    let topology = &alder_lake.topology;
    assert_eq!(
        (
            topology.packages(),
            topology.cores(),
            topology.cpus.len(),
            topology.threads_per_core()
        ),
        (1, 12, 20, 2)
    );
    let big_first = [
        0, 2, 4, 6, 8, 10, 12, 14, 16, 17, 18, 19, 1, 3, 5, 7, 9, 11, 13, 15,
    ];
    assert_eq!(alder_lake.usable_cpus(), big_first);
    assert_eq!(
        (
            alder_lake.l1d_bytes(),
            alder_lake.l2_bytes(),
            alder_lake.l3_threads()
        ),
        (Some(48 << 10), Some(1280 << 10), 20)
    );
    let few = machine(&ALDER_LAKE.replace("affinity 0-19", "affinity 1-3,18"));
    assert_eq!(
        few.usable_cpus(),
        [1, 2, 18, 3],
        "1 is its core's first allowed thread"
    );
    let zen2 = machine(ZEN2);
    assert_eq!(
        (zen2.topology.cores(), zen2.topology.threads_per_core()),
        (6, 2)
    );
    assert_eq!(zen2.usable_cpus(), (0..12).collect::<Vec<_>>());
    assert_eq!((zen2.l3_threads(), zen2.l2_bytes()), (6, Some(512 << 10)));
    let cascade_lake = machine(CASCADE_LAKE);
    assert_eq!(
        (
            cascade_lake.topology.cores(),
            cascade_lake.topology.threads_per_core()
        ),
        (2, 1)
    );
    assert_eq!(cascade_lake.topology.disagreement, None);
}

#[test]
fn kinds_of_cores_by_every_source() {
    let kinds = |recording: &str| {
        machine(recording)
            .topology
            .cpus
            .iter()
            .map(|cpu| cpu.kind)
            .collect::<Vec<_>>()
    };
    let (big, small) = (Some(CoreKind::Performance), Some(CoreKind::Efficiency));
    assert_eq!(kinds(ALDER_LAKE)[14..17], [big, big, small]);
    let amd = "cpu 0\nleaf 80000000 0 80000026 0 0 0\nleaf 80000026 0 40000001 2 100 0\n\
               cpu 1 like 0\nleaf 80000026 0 40000001 10000002 100 2\n";
    assert_eq!(
        kinds(&format!("loopos machine 1\naffinity 0-1\n{amd}")),
        [big, small]
    );
    let sysfs = "file /sys/devices/cpu_core/cpus\n|0\nfile /sys/devices/cpu_atom/cpus\n|1\n";
    assert_eq!(kinds(&format!("{CASCADE_LAKE}{sysfs}")), [big, small]);
    assert_eq!(kinds(CASCADE_LAKE), [None, None]);
}

#[test]
fn a_core_that_only_sysfs_splits_is_shown() {
    let lying =
        machine(&CASCADE_LAKE.replace("cpu1/topology/core_id\n|1", "cpu1/topology/core_id\n|0"));
    assert_eq!(lying.topology.threads_per_core(), 2, "sysfs decides");
    assert_eq!(
        lying.topology.disagreement.as_deref(),
        Some("CPUs by core: sysfs {0-1}, cpuid {0} {1}")
    );
}

#[test]
fn quotas_of_both_versions_bound_the_threads() {
    let v1 = |quota: &str| {
        let file = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us\n|";
        machine(&CASCADE_LAKE.replace(&format!("{file}-1"), &format!("{file}{quota}")))
            .usable_threads()
    };
    assert_eq!(
        [
            v1("-1"),
            v1("50000"),
            v1("150000"),
            v1("200000"),
            v1("9000000")
        ],
        [2, 1, 1, 2, 2]
    );
    let v2 = |quota: &str| {
        let files = "file /proc/self/cgroup\n|0::/a\nfile /proc/self/mountinfo\n\
                     |1 0 0:1 / /sys/fs/cgroup rw - cgroup2 none rw\nfile /sys/fs/cgroup/a/cpu.max\n";
        machine(&format!("{ZEN2}{files}|{quota} 100000\n")).usable_threads()
    };
    assert_eq!(
        [v2("max"), v2("50000"), v2("150000"), v2("700000")],
        [12, 1, 1, 7]
    );
}

#[test]
fn memory_is_the_least_of_its_limits() {
    let machine_with = |extra: &str| machine(&format!("{TIGER_LAKE}{extra}"));
    let free = machine_with("").usable_memory_bytes().unwrap();
    assert!(free > 800 << 20);
    let ulimit = "file /proc/self/limits\n|Max address space 104857600 104857600 bytes\nfile /proc/self/status\n|VmSize: 1024 kB\n";
    assert_eq!(machine_with(ulimit).usable_memory_bytes(), Some(99 << 20));
    let cgroup = "file /proc/self/cgroup\n|0::/\nfile /proc/self/mountinfo\n|1 0 0:1 / /cg rw - cgroup2 none rw\n\
                  file /cg/memory.max\n|52428800\nfile /cg/memory.current\n|10485760\n";
    let limited = machine_with(cgroup);
    assert_eq!(
        (
            limited.usable_memory_bytes(),
            limited.memory.usable().source().to_string()
        ),
        (Some(40 << 20), "/cg".to_string())
    );
    assert_eq!(machine(ZEN2).usable_memory_bytes(), None);
}

#[test]
fn counters_and_the_reason_for_their_absence() {
    let guest = machine(CASCADE_LAKE).counters;
    assert!(
        guest
            .cycles
            .reason()
            .unwrap()
            .contains("no PMU in this virtual machine")
    );
    assert!(guest.task_clock.value().is_some());
    let broken = machine(TIGER_LAKE).counters;
    assert_eq!(broken.architecture.value(), Some(&(5, 8, 48, 4)));
    assert!(
        broken
            .cycles
            .reason()
            .unwrap()
            .contains("though CPUID announces one")
    );
    assert_eq!(
        machine(ZEN2).counters.architecture.value(),
        Some(&(1, 6, 48, 0))
    );
}

#[test]
fn clocks_as_stated() {
    let alder_lake = machine(ALDER_LAKE).clocks;
    assert_eq!(
        (alder_lake.tsc_hertz.value(), alder_lake.base_hertz.value()),
        (Some(&3.6096e9), Some(&3.6e9))
    );
    assert_eq!(
        alder_lake
            .max_hertz
            .value()
            .unwrap()
            .values()
            .copied()
            .collect::<Vec<_>>(),
        [5e9]
    );
    let guest = machine(CASCADE_LAKE).clocks;
    assert!(guest.tsc_hertz.reason().unwrap().contains("0x40000010"));
    assert_eq!(guest.base_hertz, Fact::known(2.5e9, "the processor's name"));
    assert!(
        guest.current_hertz.reason().is_some(),
        "a guest's MHz is the TSC's"
    );
}

#[test]
fn the_fingerprint_tells_machines_apart_and_not_their_moods() {
    let prints: Vec<String> = ALL
        .iter()
        .map(|recording| machine(recording).fingerprint())
        .collect();
    for (index, print) in prints.iter().enumerate() {
        assert!(!prints[..index].contains(print), "{print}");
    }
    let pinned = machine(&CASCADE_LAKE.replace("affinity 0-1", "affinity 1"));
    assert_eq!(pinned.fingerprint(), prints[0]);
    let busy = machine(&CASCADE_LAKE.replace("MemAvailable:   2", "MemAvailable:   1"));
    assert_eq!(busy.fingerprint(), prints[0]);
}

#[test]
fn a_recording_survives_its_own_recording() {
    for recording in ALL {
        let source = parse_recording(recording).unwrap();
        let again = write_recording(&source);
        assert_eq!(
            Machine::read(&parse_recording(&again).unwrap()),
            Machine::read(&source)
        );
        assert!(recording.len() < 150_000);
    }
}

#[test]
fn the_page_keeps_its_width_and_shows_what_matters() {
    for recording in ALL {
        for width in [80, 100] {
            let text = page(
                &machine(recording),
                Style {
                    width,
                    colour: false,
                    explain: false,
                },
            );
            for line in text.lines() {
                assert!(
                    line.chars().count() <= width && line.trim_end() == line,
                    "{width}: {line:?}"
                );
            }
        }
    }
    let text = page(
        &machine(TIGER_LAKE_REFUSED),
        Style {
            width: 88,
            colour: false,
            explain: false,
        },
    );
    for part in [
        "i5-1135G7",
        "Tiger Lake",
        "\u{25cb}VP2INTERSECT",
        "\u{25cf}AVX2",
        "XCR0 0x7",
        "48.0 KiB",
        "unknown: ",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let painted = page(
        &machine(ZEN2),
        Style {
            width: 88,
            colour: true,
            explain: true,
        },
    );
    assert!(painted.contains("\u{1b}[32m\u{25cf}AVX2 \u{1b}[0m") && painted.contains("[cpuid"));
}

#[test]
fn translation_caches_by_every_source() {
    let tlbs = |recording: &str| {
        let tlbs = machine(recording).tlbs;
        let row = |tlb: &Tlb| (tlb.level, tlb.page_bytes >> 10, tlb.entries);
        let rows: Vec<_> = tlbs.value().unwrap().iter().map(row).collect();
        (rows, tlbs.source().to_string())
    };
    let (rows, source) = tlbs(CASCADE_LAKE);
    assert_eq!(
        rows,
        [(1, 4, 64), (1, 2048, 32), (2, 4, 1536), (2, 2048, 1536)]
    );
    assert_eq!(source, "cpuid 0x2");
    let (rows, source) = tlbs(TIGER_LAKE);
    assert_eq!(rows, [(1, 4, 64), (1, 2048, 32), (2, 4, 1024)]);
    assert_eq!(source, "cpuid 0x18");
    let (rows, source) = tlbs(ZEN2);
    assert_eq!(
        rows,
        [(1, 4, 64), (1, 2048, 64), (2, 4, 2048), (2, 2048, 2048)]
    );
    assert_eq!(source, "cpuid 0x80000005 and 0x80000006");
    // The guest sees the second level counted by 32, and not the bit that says so; a host sees both.
    let (rows, _) = tlbs(ZEN5);
    assert_eq!(rows[2..], [(2, 4, 128), (2, 2048, 128)]);
    let host = ZEN5.replace("leaf 80000021 0 00000204", "leaf 80000021 0 00004204");
    let (rows, source) = tlbs(&host);
    assert_eq!(
        rows,
        [(1, 4, 96), (1, 2048, 96), (2, 4, 4096), (2, 2048, 4096)]
    );
    assert_eq!(source, "cpuid 0x80000005 and 0x80000006");
    let mute = machine("loopos machine 1\n").tlbs;
    assert!(mute.reason().unwrap().contains("0x18"));
}

#[test]
fn distances_of_nodes() {
    let two = "loopos machine 1\nfolder /sys/devices/system/node node0 node1\n\
        file /sys/devices/system/node/node0/cpulist\n|0\nfile /sys/devices/system/node/node1/cpulist\n|1\n\
        file /sys/devices/system/node/node0/distance\n|10 21\nfile /sys/devices/system/node/node1/distance\n|21 10\n";
    let show = |recording: &str| {
        let entries = machine(recording).entries();
        let entry = entries
            .into_iter()
            .find(|entry| entry.key == "memory.node_distances");
        entry.map(|entry| (entry.text, entry.reason)).unwrap()
    };
    assert_eq!(show(two), ("10 21 | 21 10".to_string(), None));
    let one_missing = two.replace("|21 10", "|x");
    assert!(show(&one_missing).1.is_some());
}

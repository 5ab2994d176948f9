"""What Debian's Bazel would download by itself, made from what is installed."""

_SYSTEM_RULES_CC = "/usr/share/bazel/rules/cc"

_LOADERS = [
    "cc/private/rules_impl/compiler_flag.bzl",
    "cc/private/rules_impl/cc_flags_supplier.bzl",
]

def _system_rules_cc_impl(ctx):
    copied = ctx.execute(["cp", "-r", "--no-preserve=mode", _SYSTEM_RULES_CC + "/.", "."])
    if copied.return_code != 0:
        fail("cannot copy %s (is bazel-rules-cc installed?): %s" % (_SYSTEM_RULES_CC, copied.stderr))
    for path in _LOADERS:
        content = ctx.read(path)
        content = content.replace(', "use_cpp_toolchain"', "")
        content = content.replace(
            "use_cpp_toolchain()",
            '["@bazel_tools//tools/cpp:toolchain_type"]',
        )
        ctx.file(path, content, executable = False)

system_rules_cc = repository_rule(
    implementation = _system_rules_cc_impl,
    doc = "rules_cc 0.0.4 from bazel-rules-cc. It loads use_cpp_toolchain, which " +
          "Bazel 4.2.3 lacks, so the toolchain type is named directly instead.",
    local = True,
)

def _no_coverage_tools_impl(ctx):
    ctx.file("BUILD.bazel", """
filegroup(
    name = "coverage_report_generator",
    visibility = ["//visibility:public"],
)
""")

no_coverage_tools = repository_rule(
    implementation = _no_coverage_tools_impl,
    doc = "Every test names remote_coverage_tools; coverage is not used, so it is empty.",
)

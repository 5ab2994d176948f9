"""Fuzz targets: a libFuzzer program, and a test that replays the target's corpus."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

def fuzz_target(name, deps, message = None, proto = None, protos = [], mutator = [], mutator_deps = []):
    """A target named NAME with these parts:

      NAME         the libFuzzer program. It needs --config=fuzz and is built only when asked
                   for by name, which testing/fuzz/run does.
      NAME_test    an ordinary test of every input in corpus/NAME.
      NAME_corpus  the inputs as the target reads them.

    Args:
      name: of the target. NAME_fuzz.cc is its file; where there is a NAME.dict, libFuzzer is
        given its words.
      deps: what it needs.
      message: the corpus's files *.textproto are such messages.
      proto: the .proto file that has it, as one imports it.
      protos: the labels of it and what it imports, beside those of proto/.
      mutator: files with a LLVMFuzzerCustomMutator.
      mutator_deps: what they need.
    """
    cc_library(
        name = name + "_fuzz",
        testonly = True,
        srcs = [name + "_fuzz.cc"],
        deps = deps + [":oracle"],
        alwayslink = True,
    )
    cc_binary(
        name = name,
        testonly = True,
        srcs = mutator,
        # libFuzzer's main, and what the instrumented code calls.
        linkopts = ["-fsanitize=fuzzer"],
        tags = [
            "fuzz",
            "manual",
        ],
        deps = [":" + name + "_fuzz"] + ([":libfuzzer"] if mutator else []) + mutator_deps,
    )
    seeds = native.glob(["corpus/%s/*" % name])
    native.genrule(
        name = name + "_corpus",
        testonly = True,
        srcs = seeds,
        outs = ["seeds/" + seed[len("corpus/"):].replace(".textproto", ".bin") for seed in seeds],
        cmd = " ".join([
            "for seed in $(SRCS); do",
            "made=$(RULEDIR)/seeds/%s/$$(basename $$seed);" % name,
            "case $$seed in",
            "*.textproto)",
            "/usr/bin/protoc -I. -Iproto --encode=%s %s" % (message, proto),
            "<$$seed >$${made%.textproto}.bin;;",
            "*) cp $$seed $$made;;",
            "esac || exit 1;",
            "done",
        ]),
        tools = ["//proto/qasino/v1:protos"] + protos,
    )
    cc_test(
        name = name + "_test",
        size = "small",
        args = ["$(locations :%s_corpus)" % name],
        data = [":%s_corpus" % name],
        deps = [
            ":" + name + "_fuzz",
            ":replay",
        ],
    )

"""Code from .proto files with the system's protoc."""

load("@rules_cc//cc:defs.bzl", "cc_library")

# What protoc writes is not ours to warn about, and instrumenting it for the sanitizers
# takes longer than compiling all the rest.
_COPTS = [
    "-w",
    "-fno-sanitize=all",
]

def cc_proto_code(name, import_root, protos, services, visibility, imports = [], deps = []):
    """C++ of some .proto files: NAME_messages and, with the services, NAME.

    Code without RPCs depends on NAME_messages and is spared gRPC's headers.

    Args:
      name: of the library with messages and services.
      import_root: the folder, from the workspace's root, that imports start at; "." is
        that root itself.
      protos: this package's .proto files.
      services: those of them that declare services; none: there is no NAME.
      visibility: of both libraries.
      imports: .proto files of the folder proto/ that these import.
      deps: the C++ libraries of those.
    """
    messages = [proto[:-len(".proto")] for proto in protos]
    native.genrule(
        name = name + "_messages_code",
        srcs = protos + imports,
        outs = [stem + ending for stem in messages for ending in [".pb.h", ".pb.cc"]],
        cmd = " ".join([
            "/usr/bin/protoc -I{root} -Iproto --cpp_out=$(GENDIR)/{root}",
        ] + ["$(location %s)" % proto for proto in protos]).format(root = import_root),
    )
    cc_library(
        name = name + "_messages",
        srcs = [stem + ".pb.cc" for stem in messages],
        hdrs = [stem + ".pb.h" for stem in messages],
        copts = _COPTS,
        strip_include_prefix = None if import_root == "." else "/" + import_root,
        visibility = visibility,
        deps = deps + ["//third_party/protobuf"],
    )

    if not services:
        return
    stems = [proto[:-len(".proto")] for proto in services]
    native.genrule(
        name = name + "_services_code",
        srcs = protos,
        outs = [stem + ending for stem in stems for ending in [".grpc.pb.h", ".grpc.pb.cc"]],
        cmd = " ".join([
            "/usr/bin/protoc -I{root} --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin",
            "--grpc_out=$(GENDIR)/{root}",
        ] + ["$(location %s)" % proto for proto in services]).format(root = import_root),
    )
    cc_library(
        name = name,
        srcs = [stem + ".grpc.pb.cc" for stem in stems],
        hdrs = [stem + ".grpc.pb.h" for stem in stems],
        copts = _COPTS,
        strip_include_prefix = "/" + import_root,
        visibility = visibility,
        deps = [
            ":" + name + "_messages",
            "//third_party/grpc:grpc++",
        ],
    )

def py_proto_code(name, import_root, protos, visibility):
    """The Python modules of some .proto files, to be imported from import_root.

    Args:
      name: of the py_library.
      import_root: the folder, from the workspace's root, that imports start at.
      protos: this package's .proto files.
      visibility: of the library.
    """
    stems = [proto[:-len(".proto")] for proto in protos]
    outs = [stem + ending for stem in stems for ending in ["_pb2.py", "_pb2_grpc.py"]]
    native.genrule(
        name = name + "_code",
        srcs = protos,
        outs = outs,
        cmd = " ".join([
            "/usr/bin/protoc -I{root} --plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
            "--python_out=$(GENDIR)/{root} --grpc_python_out=$(GENDIR)/{root} $(SRCS)",
        ]).format(root = import_root),
    )
    up = "/".join([".." for _ in native.package_name()[len(import_root) + 1:].split("/")])
    native.py_library(
        name = name,
        srcs = outs,
        imports = [up],
        visibility = visibility,
    )

build2/partition/inspect.o: partition/inspect.c partition/inspect.h \
 base/error.h base/log.h partition/inspect_json.h partition/findings.h \
 partition/checkpoint.h partition/gguf_write.h partition/hf_config.h \
 partition/config.h partition/gguf.h base/hash.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/slice.h \
 partition/plan.h
partition/inspect.h:
base/error.h:
base/log.h:
partition/inspect_json.h:
partition/findings.h:
partition/checkpoint.h:
partition/gguf_write.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/slice.h:
partition/plan.h:

build2/partition/inspect_json.o: partition/inspect_json.c \
 partition/inspect_json.h partition/findings.h partition/checkpoint.h \
 partition/gguf_write.h base/error.h partition/hf_config.h \
 partition/config.h partition/gguf.h base/hash.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/slice.h \
 partition/json.h partition/plan.h
partition/inspect_json.h:
partition/findings.h:
partition/checkpoint.h:
partition/gguf_write.h:
base/error.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/slice.h:
partition/json.h:
partition/plan.h:

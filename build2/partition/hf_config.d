build2/partition/hf_config.o: partition/hf_config.c partition/hf_config.h \
 partition/config.h base/error.h partition/gguf.h base/hash.h \
 partition/json.h partition/mapped.h
partition/hf_config.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
partition/json.h:
partition/mapped.h:

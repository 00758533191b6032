build2/partition/vision_config.o: partition/vision_config.c \
 partition/vision_config.h base/error.h partition/gguf.h base/hash.h
partition/vision_config.h:
base/error.h:
partition/gguf.h:
base/hash.h:

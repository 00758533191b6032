build2/partition/vision_weights.o: partition/vision_weights.c \
 partition/vision_weights.h base/hash.h partition/blocks.h \
 partition/vision_config.h base/error.h partition/gguf.h base/checked.h
partition/vision_weights.h:
base/hash.h:
partition/blocks.h:
partition/vision_config.h:
base/error.h:
partition/gguf.h:
base/checked.h:

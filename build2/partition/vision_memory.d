build2/partition/vision_memory.o: partition/vision_memory.c \
 partition/vision_memory.h partition/vision_weights.h base/hash.h \
 partition/blocks.h partition/vision_config.h base/error.h \
 partition/gguf.h base/checked.h partition/memory.h partition/weights.h \
 partition/config.h partition/panels.h
partition/vision_memory.h:
partition/vision_weights.h:
base/hash.h:
partition/blocks.h:
partition/vision_config.h:
base/error.h:
partition/gguf.h:
base/checked.h:
partition/memory.h:
partition/weights.h:
partition/config.h:
partition/panels.h:

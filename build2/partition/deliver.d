build2/partition/deliver.o: partition/deliver.c partition/deliver.h \
 partition/vision_weights.h base/hash.h partition/blocks.h \
 partition/vision_config.h base/error.h partition/gguf.h \
 partition/weights.h partition/config.h partition/panels.h
partition/deliver.h:
partition/vision_weights.h:
base/hash.h:
partition/blocks.h:
partition/vision_config.h:
base/error.h:
partition/gguf.h:
partition/weights.h:
partition/config.h:
partition/panels.h:

build2/partition/vision_cost.o: partition/vision_cost.c \
 partition/vision_cost.h partition/vision_weights.h base/hash.h \
 partition/blocks.h partition/vision_config.h base/error.h \
 partition/gguf.h partition/cost.h partition/plan.h partition/memory.h \
 partition/weights.h partition/config.h
partition/vision_cost.h:
partition/vision_weights.h:
base/hash.h:
partition/blocks.h:
partition/vision_config.h:
base/error.h:
partition/gguf.h:
partition/cost.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/config.h:

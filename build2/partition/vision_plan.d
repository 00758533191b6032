build2/partition/vision_plan.o: partition/vision_plan.c \
 partition/vision_plan.h partition/plan.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h base/error.h \
 partition/gguf.h base/hash.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h base/log.h \
 partition/cost.h partition/vision_cost.h
partition/vision_plan.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
base/log.h:
partition/cost.h:
partition/vision_cost.h:

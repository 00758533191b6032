build2/partition/plan_json.o: partition/plan_json.c partition/plan_json.h \
 partition/vision_plan.h partition/plan.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h base/error.h \
 partition/gguf.h base/hash.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h partition/json.h \
 partition/mapped.h partition/slice.h
partition/plan_json.h:
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
partition/json.h:
partition/mapped.h:
partition/slice.h:

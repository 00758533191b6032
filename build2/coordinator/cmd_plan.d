build2/coordinator/cmd_plan.o: coordinator/cmd_plan.c \
 coordinator/capacity.h coordinator/options.h base/error.h \
 transport/wire.h base/diary.h base/hash.h transport/frame.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/gguf.h coordinator/commands.h \
 transport/transport.h partition/cluster.h partition/plan.h \
 partition/plan_json.h partition/vision_plan.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h base/threads.h
coordinator/capacity.h:
coordinator/options.h:
base/error.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
coordinator/commands.h:
transport/transport.h:
partition/cluster.h:
partition/plan.h:
partition/plan_json.h:
partition/vision_plan.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
base/threads.h:

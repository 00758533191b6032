build2/coordinator/cmd_run.o: coordinator/cmd_run.c \
 coordinator/capacity.h coordinator/options.h base/error.h \
 transport/wire.h base/diary.h base/hash.h transport/frame.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/gguf.h coordinator/commands.h \
 transport/transport.h coordinator/output.h coordinator/tokenizer.h \
 coordinator/utf8.h coordinator/question.h coordinator/album.h \
 coordinator/image.h coordinator/pictures.h coordinator/pipeline.h \
 coordinator/children.h worker/worker.h partition/cluster.h \
 partition/plan.h partition/vision_plan.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h \
 coordinator/request.h coordinator/prompt.h coordinator/report.h \
 coordinator/serve.h coordinator/trace.h coordinator/scheduler.h \
 base/log.h
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
coordinator/output.h:
coordinator/tokenizer.h:
coordinator/utf8.h:
coordinator/question.h:
coordinator/album.h:
coordinator/image.h:
coordinator/pictures.h:
coordinator/pipeline.h:
coordinator/children.h:
worker/worker.h:
partition/cluster.h:
partition/plan.h:
partition/vision_plan.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
coordinator/request.h:
coordinator/prompt.h:
coordinator/report.h:
coordinator/serve.h:
coordinator/trace.h:
coordinator/scheduler.h:
base/log.h:

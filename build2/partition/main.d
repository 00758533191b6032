build2/partition/main.o: partition/main.c base/log.h \
 partition/cmd_quantize.h partition/words.h base/error.h \
 partition/cmd_split.h partition/inspect.h partition/synth.h
base/log.h:
partition/cmd_quantize.h:
partition/words.h:
base/error.h:
partition/cmd_split.h:
partition/inspect.h:
partition/synth.h:

BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE alert_state (
	"key" VARCHAR NOT NULL, 
	state TEXT NOT NULL, 
	CONSTRAINT pk_alert_state PRIMARY KEY ("key")
);
INSERT INTO "alert_state" VALUES('KeeperContractEnding:duel/0','{"fired_at":"2026-01-05T00:39:57.684000+00:00","waiting_since":null,"told_at":"2026-01-05T00:40:27.684000+00:00","told":1,"quiet_since":"2026-01-05T00:40:27.686000+00:00","dark_s":0.0,"alert":{"name":"KeeperContractEnding","key":"KeeperContractEnding:duel/0","severity":"warning","slot":"duel/0","stream":"duel","summary":"the host of duel/0 goes away at 2026-01-05 00:39 UTC","why":"the rental''s contract ends soon","did":"keeper looks for another host to hand over to","needs_human":"See what stands in the way: `keeper explain duel/0`.","since":"2026-01-05T00:39:57.564000+00:00","dollars":0.18532066666666666,"labels":{"stream":"duel","slot":"duel/0"},"reason":"contract_ending","dark_since":null,"acts":0,"over":"duel/0 no longer sits on a host that goes away","is_once":false}}');
INSERT INTO "alert_state" VALUES('KeeperOrphan:40000031','{"fired_at":"2026-01-05T00:00:00.200000+00:00","waiting_since":"2026-01-05T00:00:00.200000+00:00","told_at":"2026-01-05T00:00:30.200000+00:00","told":1,"quiet_since":null,"dark_s":0.0,"alert":{"name":"KeeperOrphan","key":"KeeperOrphan:40000031","severity":"warning","slot":null,"stream":null,"summary":"rental 40000031 belongs to no stream and costs $0.94/h since 2026-01-05 00:00 UTC","why":"a rental of ours is bound to no slot","did":"keeper leaves it alone, as configured","needs_human":"If no other keeper works with it, end it: `keeper destroy --orphan 40000031`; or take it over: `keeper adopt 40000031 --as SLOT`.","since":"2026-01-05T00:00:00+00:00","dollars":0.9395554444444444,"labels":{"instance_id":"40000031","label":"keeper:another:duel/0:1"},"reason":"stray_rental","dark_since":null,"acts":0,"over":"rental 40000031 is no longer a stray","is_once":false}}');
INSERT INTO "alert_state" VALUES('KeeperStreamDark:duel/0','{"fired_at":"2026-01-05T00:40:27.684000+00:00","waiting_since":"2026-01-05T00:40:27.684000+00:00","told_at":null,"told":0,"quiet_since":null,"dark_s":0.0,"alert":{"name":"KeeperStreamDark","key":"KeeperStreamDark:duel/0","severity":"warning","slot":"duel/0","stream":"duel","summary":"duel/0 is dark","why":"the marketplace has stopped the rental","did":"last act: destroy, because the marketplace has stopped the rental","needs_human":"","since":"2026-01-05T00:39:57.684000+00:00","dollars":0,"labels":{"stream":"duel","slot":"duel/0"},"reason":"market_stopped_it","dark_since":"2026-01-05T00:39:57.684000+00:00","acts":1,"over":"duel/0 is no longer dark","is_once":false}}');
CREATE TABLE condemned (
	position INTEGER NOT NULL, 
	instance_id BIGINT NOT NULL, 
	label VARCHAR NOT NULL, 
	record TEXT NOT NULL, 
	CONSTRAINT pk_condemned PRIMARY KEY (position)
);
INSERT INTO "condemned" VALUES(0,40000049,'keeper:00000004:duel/0:1','{"label":"keeper:00000004:duel/0:1","instance_id":40000049,"slot":"duel/0","reason":"market_stopped_it","condemned_at":"2026-01-05T00:40:27.686000+00:00","dollars_per_hour":0.18532066666666666,"rented_at":"2026-01-05T00:00:12.684000+00:00","tries":1,"next_try_at":"2026-01-05T00:41:27.686000+00:00","absent_since":null,"absent_listed_at":null,"by_id_absent_at":null,"accepted_at":null}');
CREATE TABLE intents (
	intent_id VARCHAR NOT NULL, 
	slot VARCHAR, 
	kind VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	opened_at DOUBLE NOT NULL, 
	record TEXT NOT NULL, 
	CONSTRAINT pk_intents PRIMARY KEY (intent_id)
);
INSERT INTO "intents" VALUES('destroy:40000049@20260105T004027:1','duel/0','destroy','keeper:00000004:duel/0:1',1767573627.686,'{"intent_id":"destroy:40000049@20260105T004027:1","kind":"destroy","slot":"duel/0","label":"keeper:00000004:duel/0:1","instance_id":40000049,"opened_at":"2026-01-05T00:40:27.686000+00:00","reason":"market_stopped_it"}');
CREATE TABLE journal (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DOUBLE NOT NULL, 
	tick BIGINT NOT NULL, 
	event VARCHAR NOT NULL, 
	slot VARCHAR, 
	facts TEXT NOT NULL
);
INSERT INTO "journal" VALUES(541,1767571308.166,18,'workload.deploying','turbo/0','{"event":"workload.deploying","slot":"turbo/0","instance_id":40000077,"reason":"not_deployed","because":"the host is up and the workload is not on it yet"}');
INSERT INTO "journal" VALUES(542,1767571308.166,18,'slot.decided','turbo/0','{"event":"slot.decided","slot":"turbo/0","decision":"deploy","reason":"not_deployed","detail":"","because":"the host is up and the workload is not on it yet"}');
INSERT INTO "journal" VALUES(543,1767571338.168,19,'slot.decided','turbo/0','{"event":"slot.decided","slot":"turbo/0","decision":"wait","reason":"act_in_flight","detail":"","because":"an act for this slot is still under way"}');
INSERT INTO "journal" VALUES(544,1767571345.088,21,'workload.deployed','turbo/0','{"event":"workload.deployed","slot":"turbo/0","instance_id":40000077,"duration_s":36.92}');
INSERT INTO "journal" VALUES(545,1767571345.088,21,'condition.changed','turbo/0','{"event":"condition.changed","slot":"turbo/0","instance_id":40000077,"condition":"deployed","status":"true","reason":"deployed","detail":"","because":"the workload is on the host"}');
INSERT INTO "journal" VALUES(546,1767571345.088,21,'slot.decided','turbo/0','{"event":"slot.decided","slot":"turbo/0","decision":"wait","reason":"process_stopped_on_purpose","detail":"","because":"somebody stopped the process on purpose"}');
INSERT INTO "journal" VALUES(547,1767571346.0,22,'condition.changed','turbo/0','{"event":"condition.changed","slot":"turbo/0","instance_id":40000077,"condition":"running","status":"true","reason":"process_up","detail":"","because":"the process is up"}');
INSERT INTO "journal" VALUES(548,1767571346.0,22,'slot.decided','turbo/0','{"event":"slot.decided","slot":"turbo/0","decision":"wait","reason":"warming_up","detail":"","because":"the workload is warming up, within its grace time"}');
INSERT INTO "journal" VALUES(549,1767571347.684,23,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"rented","status":"true","reason":"running","detail":"","because":"the marketplace says the host is running"}');
INSERT INTO "journal" VALUES(550,1767571348.166,24,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"reachable","status":"true","reason":"link_up","detail":"","because":"the SSH link is up and the sentinel speaks"}');
INSERT INTO "journal" VALUES(551,1767571348.166,24,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"running","status":"false","reason":"process_stopped_on_purpose","detail":"","because":"somebody stopped the process on purpose"}');
INSERT INTO "journal" VALUES(552,1767571348.166,24,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"has_gpu","status":"true","reason":"healthy","detail":"","because":"all is well"}');
INSERT INTO "journal" VALUES(553,1767571348.166,24,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"has_room","status":"true","reason":"healthy","detail":"84000 MB free","because":"all is well"}');
INSERT INTO "journal" VALUES(554,1767571348.166,24,'instance.booted','duel/0','{"event":"instance.booted","slot":"duel/0","instance_id":40000049,"duration_s":135.482}');
INSERT INTO "journal" VALUES(555,1767571348.166,24,'workload.deploying','duel/0','{"event":"workload.deploying","slot":"duel/0","instance_id":40000049,"reason":"not_deployed","because":"the host is up and the workload is not on it yet"}');
INSERT INTO "journal" VALUES(556,1767571348.166,24,'slot.decided','duel/0','{"event":"slot.decided","slot":"duel/0","decision":"deploy","reason":"not_deployed","detail":"","because":"the host is up and the workload is not on it yet"}');
INSERT INTO "journal" VALUES(557,1767571352.58,25,'slot.decided','duel/0','{"event":"slot.decided","slot":"duel/0","decision":"wait","reason":"act_in_flight","detail":"","because":"an act for this slot is still under way"}');
INSERT INTO "journal" VALUES(558,1767571382.58,28,'condition.changed','turbo/0','{"event":"condition.changed","slot":"turbo/0","instance_id":40000077,"condition":"streaming","status":"false","reason":"unreachable","detail":"refused","because":"nobody answers at the stream''s address"}');
INSERT INTO "journal" VALUES(559,1767571385.088,29,'workload.deployed','duel/0','{"event":"workload.deployed","slot":"duel/0","instance_id":40000049,"duration_s":36.920000000000044}');
INSERT INTO "journal" VALUES(560,1767571385.088,29,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"deployed","status":"true","reason":"deployed","detail":"","because":"the workload is on the host"}');
INSERT INTO "journal" VALUES(561,1767571385.088,29,'slot.decided','duel/0','{"event":"slot.decided","slot":"duel/0","decision":"wait","reason":"process_stopped_on_purpose","detail":"","because":"somebody stopped the process on purpose"}');
INSERT INTO "journal" VALUES(562,1767571386.0,30,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"running","status":"true","reason":"process_up","detail":"","because":"the process is up"}');
INSERT INTO "journal" VALUES(563,1767571386.0,30,'slot.decided','duel/0','{"event":"slot.decided","slot":"duel/0","decision":"wait","reason":"warming_up","detail":"","because":"the workload is warming up, within its grace time"}');
INSERT INTO "journal" VALUES(564,1767571416.6,36,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"streaming","status":"true","reason":"live","detail":"","because":"the viewer sees a moving picture"}');
INSERT INTO "journal" VALUES(565,1767571416.6,36,'stream.on_air','duel/0','{"event":"stream.on_air","slot":"duel/0","instance_id":40000049,"duration_s":0.0}');
INSERT INTO "journal" VALUES(566,1767571416.6,36,'slot.decided','duel/0','{"event":"slot.decided","slot":"duel/0","decision":"wait","reason":"healthy","detail":"","because":"all is well"}');
INSERT INTO "journal" VALUES(567,1767571435.0,38,'condition.changed','turbo/0','{"event":"condition.changed","slot":"turbo/0","instance_id":40000077,"condition":"streaming","status":"true","reason":"live","detail":"","because":"the viewer sees a moving picture"}');
INSERT INTO "journal" VALUES(568,1767571435.0,38,'stream.on_air','turbo/0','{"event":"stream.on_air","slot":"turbo/0","instance_id":40000077,"duration_s":0.0}');
INSERT INTO "journal" VALUES(569,1767571435.0,38,'slot.decided','turbo/0','{"event":"slot.decided","slot":"turbo/0","decision":"wait","reason":"healthy","detail":"","because":"all is well"}');
INSERT INTO "journal" VALUES(570,1767573597.684,46,'instance.contract_ending','duel/0','{"event":"instance.contract_ending","slot":"duel/0","instance_id":40000049,"left_s":0.0}');
INSERT INTO "journal" VALUES(571,1767573597.684,46,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"rented","status":"false","reason":"market_stopped_it","detail":"","because":"the marketplace has stopped the rental"}');
INSERT INTO "journal" VALUES(572,1767573598.543,47,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"reachable","status":"unknown","reason":"link_lost","detail":"","because":"the SSH link was lost and is being dialled again"}');
INSERT INTO "journal" VALUES(573,1767573603.086,51,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"reachable","status":"false","reason":"dial_refused","detail":"ssh5.vast.ai:10049 refused the connection","because":"SSH does not answer at the host''s address"}');
INSERT INTO "journal" VALUES(574,1767573627.684,62,'condition.changed','duel/0','{"event":"condition.changed","slot":"duel/0","instance_id":40000049,"condition":"streaming","status":"false","reason":"market_stopped_it","detail":"","because":"the marketplace has stopped the rental"}');
INSERT INTO "journal" VALUES(575,1767573627.684,62,'stream.dark','duel/0','{"event":"stream.dark","slot":"duel/0","reason":"market_stopped_it","because":"the marketplace has stopped the rental"}');
INSERT INTO "journal" VALUES(576,1767573627.684,62,'incident.opened','duel/0','{"event":"incident.opened","slot":"duel/0","incident_id":"duel/0@20260105T004027Z","reason":"market_stopped_it","because":"the marketplace has stopped the rental"}');
INSERT INTO "journal" VALUES(577,1767573627.684,62,'slot.decided','duel/0','{"event":"slot.decided","slot":"duel/0","decision":"wait","reason":"market_says_dead","detail":"","because":"the marketplace reports the host as down"}');
INSERT INTO "journal" VALUES(578,1767573627.686,63,'instance.condemned','duel/0','{"event":"instance.condemned","slot":"duel/0","instance_id":40000049,"label":"keeper:00000004:duel/0:1","reason":"market_stopped_it","because":"the marketplace has stopped the rental"}');
INSERT INTO "journal" VALUES(579,1767573627.686,63,'slot.decided','duel/0','{"event":"slot.decided","slot":"duel/0","decision":"destroy","reason":"market_stopped_it","detail":"","because":"the marketplace has stopped the rental"}');
INSERT INTO "journal" VALUES(580,1767573627.686,63,'instance.destroying','duel/0','{"event":"instance.destroying","slot":"duel/0","instance_id":40000049,"label":"keeper:00000004:duel/0:1","reason":"market_stopped_it","attempt":1,"because":"the marketplace has stopped the rental"}');
CREATE TABLE meta (
	"key" VARCHAR NOT NULL, 
	value TEXT, 
	CONSTRAINT pk_meta PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('keeper_id','00000004');
INSERT INTO "meta" VALUES('clean_stop','0');
INSERT INTO "meta" VALUES('made_at','2026-11-22T11:17:36.133347+00:00');
INSERT INTO "meta" VALUES('meter','{"metered_at":"2026-01-05T00:40:27.684000+00:00","clock_off_s":0.0,"rates":{"duel":{"dollars_per_hour":0.016466666666666668,"on_air":0},"turbo":{"dollars_per_hour":0.19419999999999998,"on_air":1}},"dark":{"duel/0":{"dollars":0.0,"dollars_per_hour":0.016466666666666668}},"warned":{},"stops":{},"tallies":{}}');
CREATE TABLE outbox (
	notice_id VARCHAR NOT NULL, 
	channel VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	delivered_at DOUBLE, 
	given_up BOOLEAN NOT NULL, 
	record TEXT NOT NULL, 
	CONSTRAINT pk_outbox PRIMARY KEY (notice_id, channel)
);
INSERT INTO "outbox" VALUES('msg_134a2a8e534aa5a3dd4266a3','mailbox',1767573627.684,NULL,0,'{"notice_id":"msg_134a2a8e534aa5a3dd4266a3","channel":"mailbox","alert":"KeeperContractEnding:duel/0","kind":"firing","payload":{"notice_id":"msg_134a2a8e534aa5a3dd4266a3","kind":"firing","alert":{"name":"KeeperContractEnding","key":"KeeperContractEnding:duel/0","severity":"warning","slot":"duel/0","stream":"duel","summary":"the host of duel/0 goes away at 2026-01-05 00:39 UTC","why":"the rental''s contract ends soon","did":"keeper looks for another host to hand over to","needs_human":"See what stands in the way: `keeper explain duel/0`.","since":"2026-01-05T00:39:57.564000+00:00","dollars":0.18532066666666666,"labels":{"stream":"duel","slot":"duel/0"},"reason":"contract_ending","dark_since":null,"acts":0,"over":"duel/0 no longer sits on a host that goes away","is_once":false},"at":"2026-01-05T00:40:27.684000+00:00","dark_s":0.0,"acts":0,"reason":"first message"},"created_at":"2026-01-05T00:40:27.684000+00:00","attempts":0,"next_try_at":null,"delivered_at":null,"given_up":false,"last_error":""}');
INSERT INTO "outbox" VALUES('msg_bbf930e258da716c64292b39','mailbox',1767701636.028,1767701636.15,0,'{"notice_id":"msg_bbf930e258da716c64292b39","channel":"mailbox","alert":"KeeperOrphan:40000031","kind":"repeat","payload":{"notice_id":"msg_bbf930e258da716c64292b39","kind":"repeat","alert":{"name":"KeeperOrphan","key":"KeeperOrphan:40000031","severity":"warning","slot":null,"stream":null,"summary":"rental 40000031 belongs to no stream and costs $0.94/h since 2026-01-05 00:00 UTC","why":"a rental of ours is bound to no slot","did":"keeper leaves it alone, as configured","needs_human":"If no other keeper works with it, end it: `keeper destroy --orphan 40000031`; or take it over: `keeper adopt 40000031 --as SLOT`.","since":"2026-01-05T00:00:00+00:00","dollars":0.9395554444444444,"labels":{"instance_id":"40000031","label":"keeper:another:duel/0:1"},"reason":"stray_rental","dark_since":null,"acts":0,"over":"rental 40000031 is no longer a stray","is_once":false},"at":"2026-01-06T12:13:56.028000+00:00","dark_s":0.0,"acts":0,"reason":"repeated every 4 h"},"created_at":"2026-01-06T12:13:56.028000+00:00","attempts":1,"next_try_at":null,"delivered_at":"2026-01-06T12:13:56.150000+00:00","given_up":false,"last_error":""}');
INSERT INTO "outbox" VALUES('msg_ed6b9a4c1d21f1cc2ad3b865','mailbox',1767716036.028,1767716036.15,0,'{"notice_id":"msg_ed6b9a4c1d21f1cc2ad3b865","channel":"mailbox","alert":"KeeperOrphan:40000031","kind":"repeat","payload":{"notice_id":"msg_ed6b9a4c1d21f1cc2ad3b865","kind":"repeat","alert":{"name":"KeeperOrphan","key":"KeeperOrphan:40000031","severity":"warning","slot":null,"stream":null,"summary":"rental 40000031 belongs to no stream and costs $0.94/h since 2026-01-05 00:00 UTC","why":"a rental of ours is bound to no slot","did":"keeper leaves it alone, as configured","needs_human":"If no other keeper works with it, end it: `keeper destroy --orphan 40000031`; or take it over: `keeper adopt 40000031 --as SLOT`.","since":"2026-01-05T00:00:00+00:00","dollars":0.9395554444444444,"labels":{"instance_id":"40000031","label":"keeper:another:duel/0:1"},"reason":"stray_rental","dark_since":null,"acts":0,"over":"rental 40000031 is no longer a stray","is_once":false},"at":"2026-01-06T16:13:56.028000+00:00","dark_s":0.0,"acts":0,"reason":"repeated every 4 h"},"created_at":"2026-01-06T16:13:56.028000+00:00","attempts":1,"next_try_at":null,"delivered_at":"2026-01-06T16:13:56.150000+00:00","given_up":false,"last_error":""}');
INSERT INTO "outbox" VALUES('msg_8028da029de05716398377c5','mailbox',1767730436.028,1767730436.15,0,'{"notice_id":"msg_8028da029de05716398377c5","channel":"mailbox","alert":"KeeperOrphan:40000031","kind":"repeat","payload":{"notice_id":"msg_8028da029de05716398377c5","kind":"repeat","alert":{"name":"KeeperOrphan","key":"KeeperOrphan:40000031","severity":"warning","slot":null,"stream":null,"summary":"rental 40000031 belongs to no stream and costs $0.94/h since 2026-01-05 00:00 UTC","why":"a rental of ours is bound to no slot","did":"keeper leaves it alone, as configured","needs_human":"If no other keeper works with it, end it: `keeper destroy --orphan 40000031`; or take it over: `keeper adopt 40000031 --as SLOT`.","since":"2026-01-05T00:00:00+00:00","dollars":0.9395554444444444,"labels":{"instance_id":"40000031","label":"keeper:another:duel/0:1"},"reason":"stray_rental","dark_since":null,"acts":0,"over":"rental 40000031 is no longer a stray","is_once":false},"at":"2026-01-06T20:13:56.028000+00:00","dark_s":0.0,"acts":0,"reason":"repeated every 4 h"},"created_at":"2026-01-06T20:13:56.028000+00:00","attempts":1,"next_try_at":null,"delivered_at":"2026-01-06T20:13:56.150000+00:00","given_up":false,"last_error":""}');
CREATE TABLE pauses (
	slot VARCHAR NOT NULL, 
	record TEXT NOT NULL, 
	CONSTRAINT pk_pauses PRIMARY KEY (slot)
);
CREATE TABLE quarantine (
	machine_id BIGINT NOT NULL, 
	until_at DOUBLE NOT NULL, 
	record TEXT NOT NULL, 
	CONSTRAINT pk_quarantine PRIMARY KEY (machine_id)
);
INSERT INTO "quarantine" VALUES(40382,1767667090.022,'{"machine_id":40382,"host_id":90017,"strikes":1,"until":"2026-01-06T02:38:10.022000+00:00","reason":"market_says_dead"}');
CREATE TABLE slots (
	slot VARCHAR NOT NULL, 
	record TEXT NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_slots PRIMARY KEY (slot)
);
INSERT INTO "slots" VALUES('duel/0','{"slot":"duel/0","attempt":1,"serial":2,"tenure":null,"incoming":null,"remedies":[],"replaced_at":["2026-01-05T00:40:27.686000+00:00"],"incident":{"incident_id":"duel/0@20260105T004027Z","opened_at":"2026-01-05T00:40:27.684000+00:00","reason":"market_stopped_it","dark_since":"2026-01-05T00:39:57.684000+00:00","acts":1},"healthy_since":null,"dark_since":"2026-01-05T00:39:57.684000+00:00","ever_on_air":true,"offer_misses":0,"next_rent_at":null,"rent_reason":"backing_off","rent_detail":"","avoid_offers":[],"offer_asked":null,"outbid_at":null,"replace_asked_at":null,"replace_asked_attempt":null,"restart_asked_at":null,"destroy_asked_at":null,"recycle_at":null,"failures":[],"proven_revision":"","last_decision":"destroy","last_reason":"market_stopped_it","last_act":"destroy","last_act_reason":"market_stopped_it","last_act_at":"2026-01-05T00:40:27.686000+00:00"}',1.79534625731534194944e+09);
INSERT INTO "slots" VALUES('turbo/0','{"slot":"turbo/0","attempt":1,"serial":2,"tenure":{"label":"keeper:00000004:turbo/0:1","attempt":1,"offer_id":30110060,"machine_id":40237,"host_id":90007,"gpu_name":"RTX 3090","dollars_per_hour":0.19419999999999998,"requested_at":"2026-01-05T00:00:12.562000+00:00","instance_id":40000077,"rented_at":"2026-01-05T00:00:17.304000+00:00","running_at":"2026-01-05T00:01:47.564000+00:00","deployed_at":"2026-01-05T00:02:25.088000+00:00","first_live_at":"2026-01-05T00:03:55+00:00","deploy_failures":0,"missing_since":null,"missing_listed_at":null,"dead_since":null,"conditions":[{"kind":"rented","status":"true","reason":"running","since":"2026-01-05T00:01:47.684000+00:00","bad_streak":0,"good_streak":0},{"kind":"reachable","status":"true","reason":"link_up","since":"2026-01-05T00:01:48.166000+00:00","bad_streak":0,"good_streak":1},{"kind":"deployed","status":"true","reason":"deployed","since":"2026-01-05T00:02:25.088000+00:00","bad_streak":0,"good_streak":0},{"kind":"running","status":"true","reason":"process_up","since":"2026-01-05T00:02:26+00:00","bad_streak":0,"good_streak":0},{"kind":"streaming","status":"true","reason":"live","since":"2026-01-05T00:03:55+00:00","bad_streak":0,"good_streak":2},{"kind":"has_gpu","status":"true","reason":"healthy","since":"2026-01-05T00:01:48.166000+00:00","bad_streak":0,"good_streak":0},{"kind":"has_room","status":"true","reason":"healthy","since":"2026-01-05T00:01:48.166000+00:00","bad_streak":0,"good_streak":0}],"process_identity":"101:0.101","process_changed_at":[],"host_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI87fc533ffd12cb051d13f7dc38593aaa620afe1a","good_in_a_row":6,"listed_at":"2026-01-05T00:00:17.564000+00:00","booting_since":"2026-01-05T00:00:17.304000+00:00","booted_at":"2026-01-05T00:01:48.166000+00:00","acted_at":"2026-01-05T00:02:25.088000+00:00","warm_at":"2026-01-05T00:03:55+00:00","warmup_s":89.912,"process_restarts":0,"is_bid":true,"bid_dollars_per_hour":0.156,"outbid_since":null,"rebids":0,"is_bid_unsure":false,"is_left_stopped":false,"offered_dollars_per_hour":0.19419999999999998,"traffic_dollars_per_hour":0.0,"dear_since":null,"ends_at":"2026-03-08T00:55:57.501282+00:00","ending_since":null,"unlisted_since":null,"gpu_ram_gb":24.576,"disk_dollars_per_hour":0.0382,"gpu_spent_dollars":0.0,"network":"198.51.0.0/16","driver":"560.35.03","region":"NO","image":"vastai/pytorch:2.6.0-cuda-12.4.1-ipv2","revision":"","is_guarded":false},"incoming":null,"remedies":[],"replaced_at":[],"incident":null,"healthy_since":"2026-01-05T00:03:55+00:00","dark_since":null,"ever_on_air":true,"offer_misses":0,"next_rent_at":null,"rent_reason":"backing_off","rent_detail":"","avoid_offers":[],"offer_asked":null,"outbid_at":null,"replace_asked_at":null,"replace_asked_attempt":null,"restart_asked_at":null,"destroy_asked_at":null,"recycle_at":null,"failures":[],"proven_revision":"","last_decision":"wait","last_reason":"healthy","last_act":"deploy","last_act_reason":"not_deployed","last_act_at":"2026-01-05T00:01:48.166000+00:00"}',1.79534625729933691026e+09);
CREATE TABLE tallies (
	period VARCHAR NOT NULL, 
	stream VARCHAR NOT NULL, 
	record TEXT NOT NULL, 
	CONSTRAINT pk_tallies PRIMARY KEY (period, stream)
);
INSERT INTO "tallies" VALUES('2026-01-05','duel','{"dollars":0.12315296364481482,"good_s":2211.084}');
INSERT INTO "tallies" VALUES('2026-01-05','turbo','{"dollars":0.13028241455555556,"good_s":2192.6839999999997}');
INSERT INTO "tallies" VALUES('2026-01','duel','{"dollars":0.12315296364481482,"good_s":2211.084}');
INSERT INTO "tallies" VALUES('2026-01','turbo','{"dollars":0.13028241455555556,"good_s":2192.6839999999997}');
INSERT INTO "tallies" VALUES('total','duel','{"dollars":0.12315296364481482,"good_s":2211.084}');
INSERT INTO "tallies" VALUES('total','turbo','{"dollars":0.13028241455555556,"good_s":2192.6839999999997}');
INSERT INTO "tallies" VALUES('2026-01-06','duel','{"dollars":4.447696,"good_s":85576.65999999995}');
INSERT INTO "tallies" VALUES('2026-01-06','turbo','{"dollars":7.550943999999992,"good_s":85519.15799999994}');
CREATE INDEX ix_outbox_created_at ON outbox (created_at);
CREATE INDEX ix_journal_slot ON journal (slot, seq);
CREATE INDEX ix_journal_at ON journal (at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('journal',580);
COMMIT;

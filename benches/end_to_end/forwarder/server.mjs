// A plain forwarder as a good engineer writes it in an afternoon: one request in, one request out,
// mapped by hand, answered when the other side has answered. Nothing is kept on disk.
//
// SINK is the address of the sink, KEY the key for it.
import express from 'express';
import { Agent, request } from 'undici';

const authorization = `Basic ${Buffer.from(`${process.env.KEY}:`).toString('base64')}`;
const dispatcher = new Agent({ connections: 16, pipelining: 1 });

const track = (event) => {
  const { user = {}, properties: p = {} } = event;
  return {
    type: 'track',
    userId: user.external_user_id,
    anonymousId: user.user_id,
    messageId: event.id,
    timestamp: new Date(event.time * 1000).toISOString(),
    integrations: { All: true, Braze: false, Appboy: false },
    event: 'Email Link Clicked',
    context: { device: { model: p.device_model }, traits: { email: p.email_address } },
    properties: {
      app_group_id: p.app_group_id,
      campaign_id: p.campaign_id,
      campaign_name: p.campaign_name,
      canvas_id: p.canvas_id,
      canvas_name: p.canvas_name,
      canvas_step_id: p.canvas_step_id,
      canvas_step_name: p.canvas_step_name,
      canvas_variation_id: p.canvas_variation_id,
      canvas_variation_name: p.canvas_variation_name,
      message_variation_id: p.message_variation_id,
      message_variation_name: p.message_variation_name,
      device_id: user.device_id,
      dispatch_id: p.dispatch_id,
      send_id: p.send_id,
      browser: p.browser,
      device_class: p.device_class,
      device_os: p.device_os,
      is_amp: p.is_amp,
      mailbox_provider: p.mailbox_provider,
      user_agent: p.user_agent,
      is_suspected_bot_click: p.is_suspected_bot_click,
      link_alias: p.link_alias,
      link_id: p.link_id,
      link_url: p.url,
    },
  };
};

const app = express();
app.use(express.json({ limit: '32mb' }));
app.post('/currents', async (incoming, answer) => {
  const batch = incoming.body.events.map(track);
  const sent = await request(`${process.env.SINK}/v1/batch`, {
    dispatcher,
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ batch, sentAt: new Date().toISOString() }),
  });
  await sent.body.dump();
  answer.sendStatus(sent.statusCode === 200 ? 200 : 503);
});
const server = app.listen(0, '127.0.0.1', () => {
  console.error(`ready: http://127.0.0.1:${server.address().port}/currents`);
});
